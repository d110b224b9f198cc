from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.lambdas.world import ServerDouble


@pytest.fixture(scope="module")
def server() -> Iterator[ServerDouble]:
    double = ServerDouble(lambda: datetime.now(UTC))
    yield double
    double.close()


@pytest.fixture(scope="module")
def stack(server: ServerDouble) -> Iterator[dict[str, str]]:
    """``python -m lambdas.dev`` in a process of its own; what it says about itself."""
    process = subprocess.Popen(
        [sys.executable, "-m", "lambdas.dev", "--server", server.url, "--port", "0"],
        cwd=Path(__file__).parents[2],
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(4)]
    yield dict(re.split(r":\s+", line.strip(), maxsplit=1) for line in lines)
    process.send_signal(signal.SIGTERM)
    with process:
        assert process.wait(10) == 0


def ask(
    stack: dict[str, str], method: str, path: str, token: str | None = None
) -> tuple[int, dict[str, Any]]:
    request = urllib.request.Request(stack["api"] + path, method=method)
    request.add_header("Authorization", f"Bearer {token or stack['token']}")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def advance(stack: dict[str, str], minutes: int) -> None:
    assert ask(stack, "POST", f"/dev/advance?minutes={minutes}")[0] == 200


def test_a_whole_visit_over_http(stack: dict[str, str], server: ServerDouble) -> None:
    def state() -> str:
        return str(ask(stack, "GET", "/status")[1]["state"])

    assert state() == "stopped"
    assert ask(stack, "POST", "/start")[1]["state"] == "starting"
    advance(stack, 1)
    assert state() == "booting"
    server.keys = json.loads(stack["server"].partition("=")[2].strip("'"))
    server.up = True
    assert state() == "ready"
    server.sessions = 1
    advance(stack, 30)
    assert state() == "ready"
    assert ask(stack, "POST", "/stop")[0] == 409
    server.sessions = 0
    advance(stack, 20)
    assert state() == "stopped"


def test_asks_who_is_there(stack: dict[str, str]) -> None:
    assert ask(stack, "POST", "/start", token="nobody")[0] == 403
    assert ask(stack, "GET", "/elsewhere")[0] == 404
    assert ask(stack, "POST", "/dev/advance?minutes=-1")[0] == 400
