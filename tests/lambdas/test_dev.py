from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.lambdas.world import ServerDouble

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def server() -> Iterator[ServerDouble]:
    double = ServerDouble(lambda: datetime.now(UTC))
    yield double
    double.close()


@pytest.fixture(scope="module")
def stack(server: ServerDouble) -> Iterator[dict[str, str]]:
    """With a server that comes and goes by hand."""
    with dev_cloud("--server", server.url, lines=4) as said:
        yield said


@contextmanager
def dev_cloud(*options: str, lines: int, **environment: str) -> Iterator[dict[str, str]]:
    """``mediaserver dev-cloud`` in a process of its own; the ``lines`` that it says about itself."""
    process = subprocess.Popen(
        [sys.executable, "-m", "mediaserver", "dev-cloud", "--port", "0", *options],
        cwd=ROOT,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    said = [process.stdout.readline() for _ in range(lines)]
    yield dict(re.split(r":\s+", line.strip(), maxsplit=1) for line in said)
    process.send_signal(signal.SIGTERM)
    with process:
        assert process.wait(20) == 0


def ask(
    stack: dict[str, str], method: str, path: str, token: str | None = None
) -> tuple[int, dict[str, Any]]:
    request = urllib.request.Request(stack["page"].rstrip("/") + path, method=method)
    request.add_header("Authorization", f"Bearer {token or stack['key']}")
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
    server.keys = json.loads(shlex.split(stack["server"])[0].partition("=")[2])
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
    assert ask(stack, "POST", "/elsewhere")[0] == 404
    assert ask(stack, "POST", "/dev/advance?minutes=-1")[0] == 400


def test_serves_the_page_and_names_itself_to_it(stack: dict[str, str]) -> None:
    with urllib.request.urlopen(stack["page"], timeout=10) as answer:
        assert b"<title>" in answer.read()
    assert ask(stack, "GET", "/config.json") == (200, {"api": stack["page"].rstrip("/")})
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(stack["page"] + "../pyproject.toml", timeout=10)


def test_a_real_server_comes_and_goes_with_the_machine(tiny_models: Path) -> None:
    with dev_cloud(lines=3, MEDIASERVER_MODELS=str(tiny_models)) as stack:

        def state() -> str:
            return str(ask(stack, "GET", "/status")[1]["state"])

        ask(stack, "POST", "/start")
        advance(stack, 1)
        until = time.monotonic() + 60
        while state() != "ready" and time.monotonic() < until:
            time.sleep(0.1)
        answer = ask(stack, "GET", "/status")[1]
        assert answer["state"] == "ready"
        # Idle for as long as it may be: drained, and stopped.
        advance(stack, 16)
        assert state() == "stopped"
        with pytest.raises(urllib.error.URLError, match="refused"):
            urllib.request.urlopen(answer["address"] + "/healthz", timeout=10)


def test_a_port_that_is_taken_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "lambdas.dev", str(port)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert done.stderr == f"mediaserver dev-cloud: port {port}: Address already in use\n"
