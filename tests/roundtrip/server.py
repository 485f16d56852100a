# SPDX-License-Identifier: MIT OR Apache-2.0
"""gooseBit on a database of its own, which it makes first. Argument: the port."""

import asyncio
import sys

import uvicorn
from goosebit import app, db
from tortoise import Tortoise


async def make_database():
    await db.init()
    await Tortoise.generate_schemas()
    await db.close()


asyncio.run(make_database())
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
