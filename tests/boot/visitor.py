"""Who comes to the machine from outside: over TLS, through its nginx, with a token."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

from tests.boot.conftest import SERVER, Running
from tests.boot.machine import wait_for

_READY_TIMEOUT_S = 60.0


def trust(running: Running) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(running.certificate))


def is_ready(running: Running) -> bool:
    try:
        with urllib.request.urlopen(running.ready_url, context=trust(running), timeout=5) as answer:
            return int(answer.status) == 200
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def wait_until_ready(running: Running) -> None:
    machine = running.machine
    wait_for(lambda: is_ready(running), _READY_TIMEOUT_S, lambda: machine.journal("mediaserver*"))


def replay(running: Running, clip: Path) -> dict[str, object]:
    """Summary of a clip sent through nginx."""
    command = (sys.executable, "-m", "mediaserver", "replay", str(clip), "--json")
    done = subprocess.run(
        (*command, "--url", running.socket_url, "--token", running.token),
        env={**os.environ, "SSL_CERT_FILE": str(running.certificate)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr + running.machine.journal(SERVER)
    summary: dict[str, object] = json.loads(done.stdout)
    return summary
