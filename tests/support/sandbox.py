"""A folder in which the commands of a document run as pasted: a checkout that is set up, and a home."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from mediaserver.child_process import free_ports, stop, wait_until_ready
from tests.support.code_blocks import ROOT, CodeBlock, is_untested

_SERVERS = re.compile(r"(?:mediaserver (?:serve|demo)|make demo)\b(?!.*(?:ONCE|--once|--help))")
_WEB_SERVER = re.compile(r"python3? -m http\.server\b")
_NOT_LINKED = {".git", ".venv", "artifacts", "node_modules"}
_LONGEST_S = 240


@dataclass
class Sandbox:
    """``folder`` looks like a checkout; the ports of the document stand for free ones."""

    folder: Path
    environment: dict[str, str]
    ports: dict[str, str]
    running: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)

    async def serve(self) -> None:
        """A server as ``mediaserver serve`` starts it, beside the document."""
        await self._keep_running("server", "mediaserver serve")

    async def run(self, block: CodeBlock) -> str:
        """Runs the block, without the commands that the table lists. Returns standard output."""
        if block.language == "python":
            return await self._finish(block, ["python", "-"], self._with_own_ports(block.text))
        commands = [command for command in block.commands if not is_untested(block, command)]
        for number, command in enumerate(commands):
            for kind, pattern in (("server", _SERVERS), ("web", _WEB_SERVER)):
                if pattern.match(command):
                    assert number == len(commands) - 1, f"{block}: nothing runs after {command}"
                    await self._finish(block, ["bash", "-e"], "\n".join(commands[:number]))
                    await self._keep_running(kind, self._with_own_ports(command))
                    return ""
        return await self._finish(block, ["bash", "-e"], self._with_own_ports("\n".join(commands)))

    def _with_own_ports(self, text: str) -> str:
        return re.sub(r"\b(?:" + "|".join(self.ports) + r")\b", lambda found: self.ports[found[0]], text)

    async def _finish(self, block: CodeBlock, command: list[str], text: str) -> str:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=self.folder,
            env=self.environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(_LONGEST_S):
                output, errors = await process.communicate(text.encode())
        finally:
            await stop(process, timeout_s=10, group=True)
        assert process.returncode == 0, f"{block}: {errors.decode()}\n{output.decode()}"
        return output.decode()

    async def _keep_running(self, kind: str, command: str) -> None:
        """Until the next command of its kind, or the end of the document."""
        if before := self.running.pop(kind, None):
            await stop(before, timeout_s=20, group=True)
        log = (self.folder / f"{kind}.log").open("wb")
        with log:
            process = await asyncio.create_subprocess_exec(
                *("bash", "-e", "-c", command),
                cwd=self.folder,
                env=self.environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.running[kind] = process
        port, path = (self.ports["8080"], "/readyz") if kind == "server" else (self.ports["8000"], "/")
        await wait_until_ready(process, f"http://127.0.0.1:{port}{path}", _LONGEST_S)
        if command.startswith(("make demo", "mediaserver demo")):
            async with asyncio.timeout(_LONGEST_S):
                while "Still serving" not in (self.folder / f"{kind}.log").read_text():
                    assert process.returncode is None, (self.folder / f"{kind}.log").read_text()
                    await asyncio.sleep(0.2)


@contextlib.asynccontextmanager
async def sandbox(folder: Path, model_files: Path | None = None) -> AsyncIterator[Sandbox]:
    """An empty home, and a checkout after ``make install``; ``models pull`` fetches from ``model_files``."""
    checkout, home, tools = folder / "mediaserver", folder / "home", folder / "bin"
    for made in (checkout, home, tools):
        made.mkdir()
    for entry in ROOT.iterdir():
        if entry.name not in _NOT_LINKED and not entry.name.endswith("_cache"):
            (checkout / entry.name).symlink_to(entry)
    (checkout / ".venv").symlink_to(sys.prefix)
    if real_make := shutil.which("make"):
        # What `make` would install is there: the environment of the tests.
        done = " ".join(f"-o .venv/.{name}" for name in ("server", "development"))
        (tools / "make").write_text(f'#!/bin/sh\nexec {real_make} {done} "$@"\n')
        (tools / "make").chmod(0o755)
    ports = dict(zip(("8080", "8000"), map(str, free_ports(2)), strict=True))
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MEDIASERVER_")}
    path = os.pathsep.join((str(tools), str(Path(sys.executable).parent), os.environ["PATH"]))
    environment = kept | {
        "HOME": str(home),
        "PATH": path,
        "MEDIASERVER_PORT": ports["8080"],
        "COLUMNS": "200",
    }
    environment.pop("XDG_CACHE_HOME", None)
    if model_files is not None:
        environment["MEDIASERVER_MODEL_MIRROR"] = str(model_files)
    made_sandbox = Sandbox(checkout, environment, ports)
    try:
        yield made_sandbox
    finally:
        for process in made_sandbox.running.values():
            await stop(process, timeout_s=20, group=True)
