# SPDX-License-Identifier: MIT OR Apache-2.0
"""A pytest plugin: writes each phase of each test as a line of JSON, and ends what a test left.

RAUC's fixture does not stop its service when a test fails inside it; the next test would then talk
to the service of the one before.
"""

import json
import os
import signal
import subprocess
import time

import pytest

SCRATCH = os.environ["CONFORMANCE_SCRATCH"]


def first_line(report):
    if report.skipped and isinstance(report.longrepr, tuple):
        return report.longrepr[2]
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash else str(report.longrepr or "")
    return (text.strip().splitlines() or [""])[0]


def pytest_runtest_logreport(report):
    if report.when != "call" and report.passed:
        return
    name = report.nodeid.split("/")[-1]
    line = {"test": name, "ended": report.outcome, "why": "" if report.passed else first_line(report)}
    with open(f"{SCRATCH}/results", "a", encoding="utf-8") as results:
        print(json.dumps(line), file=results)


def services():
    for number in filter(str.isdigit, os.listdir("/proc")):
        if int(number) in (1, os.getpid()):
            continue
        try:
            with open(f"/proc/{number}/cmdline", "rb") as cmdline:
                words = cmdline.read().split(b"\0")
        except OSError:
            continue
        if b"service" in words and any(word.startswith(b"--conf=") for word in words):
            yield int(number)


def end(number, how):
    try:
        os.kill(number, how)
    except OSError:
        pass


def reap():
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_teardown():
    yield
    for how in (signal.SIGTERM, signal.SIGKILL):
        left, told = set(services()), set()
        until = time.monotonic() + 3
        while left and time.monotonic() < until:
            for number in left - told:
                end(number, how)
            told |= left
            reap()
            time.sleep(0.05)
            left = set(services())
    with open("/proc/mounts", encoding="utf-8") as mounts:
        points = [line.split()[1] for line in mounts]
    for point in reversed(points):
        if point.startswith((f"{SCRATCH}/t/", "/mnt/")):
            subprocess.run(["umount", "-l", point], check=False)
