# SPDX-License-Identifier: MIT OR Apache-2.0
"""Hooks of schemathesis: requests are signed as an operator signs them.

A fifth of them goes out as it was made up, so that refusals are looked at as well. A request that is
refused before its signature is looked at leaves its nonce pending, of which one address may hold only so
many: they come over addresses of their own, one after the other.
"""

import base64
import hashlib
import os
import subprocess
import tempfile

import requests
import schemathesis
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase

API = os.environ["ATOMIX_API"]
KEY = os.environ.get("ATOMIX_KEY")


class From(HTTPAdapter):
    """Connections from one address of this machine."""

    def __init__(self, address):
        self.address = address
        super().__init__()

    def init_poolmanager(self, *args, **kwargs):
        super().init_poolmanager(*args, source_address=(self.address, 0), **kwargs)


class Nonces:
    """Takes nonces over one address until it is given no more, then over the next."""

    def __init__(self):
        self.last = 1
        self.move_on()

    def move_on(self):
        self.last += 1
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.mount("http://", From(f"127.0.0.{self.last}"))

    def take(self) -> dict:
        while self.last < 255:
            answer = self.session.get(API + "/api/nonce", timeout=10)
            if answer.status_code == 200:
                return answer.json()
            self.move_on()
        raise RuntimeError("all nonces are pending")


nonces = Nonces()


def sign(message: bytes) -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "message")
        with open(path, "wb") as file:
            file.write(message)
        words = ["ssh-keygen", "-q", "-Y", "sign", "-n", "atomixos-reapply", "-f", KEY, path]
        subprocess.run(words, check=True, capture_output=True)
        with open(path + ".sig", "rb") as file:
            return file.read()


def signed_headers(method: str, target: str, headers: dict, body: bytes) -> dict:
    """What a request needs beside its own headers."""
    issued = nonces.take()
    digest = hashlib.sha256(body).hexdigest()
    lines = [
        "atomixos-reapply-v2",
        "device:" + issued["device"],
        "nonce:" + issued["nonce"],
        "method:" + method,
        "target:" + target,
        "content-type:" + headers.get("content-type", ""),
        "filename:" + headers.get("x-config-filename", ""),
        "if-match:" + headers.get("if-match", ""),
        "sha256:" + digest,
        "",
    ]
    message = "\n".join(lines).encode("latin-1")
    return {
        "x-atomixos-nonce": issued["nonce"],
        "x-atomixos-signature": base64.b64encode(sign(message)).decode(),
        "x-atomixos-sha256": digest,
    }


def text(value) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


class Operator(AuthBase):
    """Signs four of five requests."""

    count = 0

    def __call__(self, request):
        Operator.count += 1
        body = request.body or b""
        if Operator.count % 5 == 0 or not isinstance(body, (bytes, str)):
            return request
        body = body.encode() if isinstance(body, str) else body
        headers = {text(name).lower(): text(value) for name, value in request.headers.items()}
        request.headers.update(signed_headers(request.method, request.path_url, headers, body))
        return request


@schemathesis.hook
def before_call(context, case, kwargs):
    if KEY and "/api/config" in case.path or KEY and case.path.endswith(("/validate", "/confirm")):
        kwargs["auth"] = Operator()
