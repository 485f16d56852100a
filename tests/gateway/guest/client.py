# SPDX-License-Identifier: MIT OR Apache-2.0
"""What a program does with the client that openapi-python-client made of the description.

client.py CONFIG: claims the device at ATOMIX_API with CONFIG and then changes it, signed.
"""

import io
import json
import os
import sys
import time

from atomix_client import Client
from atomix_client.api.auth import auth_issue_nonce
from atomix_client.api.config import (
    config_current,
    config_submit,
    config_users_delete,
    config_users_put,
    config_validate,
)
from atomix_client.api.jobs import jobs_get
from atomix_client.api.system import system_health
from atomix_client.models import ErrorBody, Job, SubmittedBody, UserBody, ValidationBody
from atomix_client.types import File

from signed import signed_headers

client = Client(base_url=os.environ["ATOMIX_API"], raise_on_unexpected_status=True)
with open(sys.argv[1], "rb") as file:
    config = file.read()


def upload(content: bytes) -> File:
    return File(payload=io.BytesIO(content))


def finished(submitted) -> Job:
    assert isinstance(submitted, SubmittedBody), submitted
    for _ in range(300):
        job = jobs_get.sync(str(submitted.job_id), client=client)
        assert isinstance(job, Job), job
        if job.state in ("succeeded", "failed"):
            return job
        time.sleep(0.1)
    raise AssertionError(f"{submitted} does not end")


def signature(method: str, target: str, body: bytes = b"", kind: str = "") -> dict:
    made = signed_headers(method, target, {"content-type": kind}, body)
    if not body:
        del made["x-atomixos-sha256"]
    return {name.replace("-", "_"): value for name, value in made.items()}


assert system_health.sync(client=client).status == "ok"
nonce = auth_issue_nonce.sync(client=client)
assert len(nonce.nonce) >= 32 and nonce.expires_in_seconds > 0, nonce

bad = config_validate.sync(client=client, body=upload(b"version = 2\n"))
assert isinstance(bad, ErrorBody) and bad.faults, bad
assert bad.faults[0].line >= 1 and bad.faults[0].problem, bad
good = config_validate.sync(client=client, body=upload(config))
assert isinstance(good, ValidationBody) and good.ok is True, good

job = finished(config_submit.sync(client=client, body=upload(config)))
assert job.state == "succeeded" and job.result.reapply is False, job

refused = config_current.sync_detailed(client=client, x_atomixos_nonce="", x_atomixos_signature="")
assert refused.status_code == 401 and isinstance(refused.parsed, ErrorBody), refused
current = config_current.sync(client=client, **signature("GET", "/api/config/current"))
assert "admin" in current.config.to_dict()["users"], current

guest = UserBody(is_admin=False, ssh_key="", shell="sh")
body = json.dumps(guest.to_dict()).encode()
target = "/api/config/users/guest"
headers = signature("PUT", target, body, "application/json")
# httpx writes JSON in its own way: what is signed is what it sends.
sent = client.get_httpx_client().build_request("PUT", target, json=guest.to_dict()).content
headers = signature("PUT", target, sent, "application/json")
job = finished(config_users_put.sync("guest", client=client, body=guest, **headers))
assert job.state == "succeeded" and job.result.reapply is True, job
job = finished(config_users_delete.sync("guest", client=client, **signature("DELETE", target)))
assert job.state == "succeeded", job
print("the generated client: health, nonce, validate, submit, current, put and delete a user")
