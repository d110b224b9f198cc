"""``mediaserver serve`` in a process of its own, and what it logs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mediaserver.child_process import stop
from tests.support.server_address import ServerAddress
from tests.support.waiting import eventually

_CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("MEDIASERVER_")}
_HANG_ON_SIGUSR1 = """
import signal, sys, time
from mediaserver.cli.main import main
signal.signal(signal.SIGUSR1, lambda *_: time.sleep(600))
sys.exit(main())
"""
"""The command, with one addition: the signal stops whatever the process does, its event loop above all."""


@dataclass
class ServerProcess(ServerAddress):
    process: asyncio.subprocess.Process
    log: list[dict[str, Any]] = field(default_factory=list)
    """Its lines so far, where they are JSON."""
    text: str = ""
    """The same, as they came."""

    @property
    def http_url(self) -> str:
        found = re.search(r'listening on (http://[^\s"]+)', self.text)
        assert found is not None, self.text
        return found[1]

    def lines(self, message: str) -> list[dict[str, Any]]:
        """What was logged that begins so."""
        return [line for line in self.log if line["message"].startswith(message)]

    def pid_of(self, worker: int) -> int:
        """The process that is this worker now."""
        started = [line for line in self.lines("worker started") if line["worker"] == worker]
        return int(started[-1]["pid"])

    def worker_of(self, session: str) -> int:
        """Who serves this session."""
        (line,) = [line for line in self.lines("session started") if line["session"] == session]
        return int(line["worker"])

    async def _read(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.text += line.decode()
            with contextlib.suppress(ValueError):
                self.log.append(json.loads(line))


@contextlib.asynccontextmanager
async def server_process(
    models: Path,
    *,
    wait_ready: bool = True,
    environment: dict[str, str] | None = None,
    runner: Sequence[str] = (),
    **settings: object,
) -> AsyncIterator[ServerProcess]:
    """All workers are ready when this is entered. SIGUSR1 makes a process of it hang. ``runner`` is the
    command that runs it, if not this shell: in a namespace, say."""
    used = {"port": 0, "models": models, "log_format": "json", **settings}
    process = await asyncio.create_subprocess_exec(
        *(*runner, sys.executable, "-c", _HANG_ON_SIGUSR1, "serve"),
        *(f"--{key.replace('_', '-')}={value}" for key, value in used.items()),
        env=_CLEAN | (environment or {}),
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,  # so that nothing is left, whatever fails
    )
    server = ServerProcess(process)
    reading = asyncio.create_task(server._read())
    try:
        if wait_ready:
            workers = int(str(settings.get("workers", 1)))
            await eventually(lambda: server.text.count("listening on ") == workers, 30)
            await eventually(lambda: server.text.count("ready: ") == workers, 30)
        yield server
    finally:
        try:
            await stop(process, timeout_s=15, group=True)
        finally:
            await reading
