"""The media server of the simulated machine: a real server that runs while the machine runs."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
_STOP_TIMEOUT_S = 10


def free_port() -> int:
    """Returns a free TCP port of this machine."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


class ServerProcess:
    """``mediaserver serve`` on ``port`` of this machine, with the settings of this process's environment.

    ``keys`` are its token keys; pages of ``origin`` are allowed.
    """

    def __init__(self, port: int, keys: Mapping[str, str], origin: str) -> None:
        self._port = port
        self._environment = {
            "MEDIASERVER_TOKEN_KEYS": json.dumps(keys),
            "MEDIASERVER_ALLOWED_ORIGINS": origin,
        }
        self._process: subprocess.Popen[bytes] | None = None

    def follow(self, state: str) -> None:
        """Starts or stops the server when the machine enters ``state``, a name of EC2."""
        if state == "running":
            self._process = subprocess.Popen(
                [sys.executable, "-m", "mediaserver", "serve", "--port", str(self._port)],
                cwd=ROOT,
                env=os.environ | self._environment,
            )
        elif state == "stopping" and self._process is not None:
            self._process.terminate()
        elif state == "stopped":
            self.close()

    def close(self) -> None:
        """Ends the server if it runs."""
        if self._process is None:
            return
        with self._process as process:
            process.terminate()
            try:
                process.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
        self._process = None
