"""An RTSP camera: GStreamer's server in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mediaserver.child_process import free_ports, stop

_SERVER = Path(__file__).parent / "rtsp_server.py"
_SYSTEM_PYTHON = "/usr/bin/python3"
_BINDINGS = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"


class RtspCamera:
    """Serves a red picture as H.264; with ``credentials`` (user, password) to their owner alone."""

    def __init__(self, *credentials: str) -> None:
        [self.port] = free_ports(1)
        self._credentials = credentials
        self._process: Process | None = None

    @property
    def url(self) -> str:
        owner = ":".join(self._credentials)
        return f"rtsp://{owner}{'@' if owner else ''}127.0.0.1:{self.port}/camera"

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *(_SYSTEM_PYTHON, str(_SERVER), str(self.port), *self._credentials), stdin=PIPE, stdout=PIPE
        )
        assert self._process.stdout is not None
        async with asyncio.timeout(30):
            assert await self._process.stdout.readline() == b"listening\n"

    async def stop(self) -> None:
        if self._process is not None:
            process, self._process = self._process, None
            await stop(process, timeout_s=5)


@contextlib.asynccontextmanager
async def rtsp_camera(*credentials: str) -> AsyncIterator[RtspCamera]:
    """Serving when entered. Skips the test where GStreamer's RTSP server is not there."""
    try:
        subprocess.run((_SYSTEM_PYTHON, "-c", _BINDINGS), capture_output=True, check=True, timeout=60)  # noqa: ASYNC221
    except (OSError, subprocess.CalledProcessError):
        pytest.skip(
            "GStreamer's RTSP server is not installed (Debian: gir1.2-gst-rtsp-server-1.0, python3-gi)"
        )
    camera = RtspCamera(*credentials)
    await camera.start()
    try:
        yield camera
    finally:
        await camera.stop()
