"""A session with GStreamer's own WebRTC, as on Jetsons, in cameras' firmware and in most WHIP senders."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tests.support.live_server import LiveServer, live_server, raw_socket

pytestmark = pytest.mark.asyncio(loop_scope="module")

SENDER = ("/usr/bin/python3", str(Path(__file__).parent / "webrtcbin_sender.py"))
NEEDS = ("webrtcbin", "nicesink", "dtlssrtpenc", "vp8enc", "rtpvp8pay", "x264enc", "rtph264pay")


@pytest.fixture(scope="module", autouse=True)
def _gstreamer() -> None:
    """Skips where a part of it is missing, and names it."""
    script = (
        "import gi; gi.require_version('GstWebRTC', '1.0'); from gi.repository import Gst, GstWebRTC;"
        f"Gst.init(None); print(*[name for name in {NEEDS!r} if not Gst.ElementFactory.find(name)])"
    )
    try:
        found = subprocess.run([SENDER[0], "-c", script], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"GStreamer's Python bindings (deploy/dev/install-system-packages.sh): {error}")
    if found.stdout.strip():
        pytest.skip(f"GStreamer lacks {found.stdout.strip()} (deploy/dev/install-system-packages.sh)")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def live(tiny_models: Path) -> AsyncIterator[LiveServer]:
    async with live_server(tiny_models) as running:
        yield running


class Session:
    """A sender and its WebSocket; what it tells goes to the server, and the answer goes back."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, sender: asyncio.subprocess.Process) -> None:
        self._socket = socket
        self._sender = sender
        self.by_channel: list[dict[str, Any]] = []
        self.by_socket: list[dict[str, Any]] = []
        self.said: list[dict[str, Any]] = []
        """What the server said besides results, and errors of the sender."""

    async def read_sender(self) -> None:
        assert self._sender.stdout is not None
        async for line in self._sender.stdout:
            message = json.loads(line)
            if message["type"] == "channel":
                self.by_channel.append(json.loads(message["text"]))
            elif message["type"] == "error":
                self.said.append(message)
            else:
                await self._socket.send_json(message)

    async def read_server(self) -> None:
        assert self._sender.stdin is not None
        async for raw in self._socket:
            message = raw.json()
            if message["type"] == "result":
                self.by_socket.append(message)
            elif message["type"] == "answer":
                self._sender.stdin.write(json.dumps(message).encode() + b"\n")
            else:
                self.said.append(message)

    async def results(self, where: list[dict[str, Any]], count: int) -> list[dict[str, Any]]:
        """The first so many of one channel."""
        async with asyncio.timeout(30):
            while len(where) < count:
                assert not [said for said in self.said if said["type"] in ("error", "closing")], self.said
                await asyncio.sleep(0.05)
        return where[:count]


@contextlib.asynccontextmanager
async def webrtcbin(server: LiveServer, channel: str, *arguments: str) -> AsyncIterator[Session]:
    """A sender with these arguments of ``webrtcbin_sender.py``."""
    async with raw_socket(server) as socket:
        await socket.send_json({"type": "hello", "channel": channel})
        sender = await asyncio.create_subprocess_exec(
            *SENDER, *arguments, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=1 << 20
        )
        assert sender.stdin is not None
        session = Session(socket, sender)
        reading = [asyncio.create_task(session.read_sender()), asyncio.create_task(session.read_server())]
        try:
            yield session
        finally:
            sender.stdin.close()
            await sender.wait()
            for task in reading:
                task.cancel()
            await asyncio.gather(*reading, return_exceptions=True)


@pytest.mark.parametrize("bundle", ["max-bundle", "none"])
@pytest.mark.parametrize("codec", ["VP8", "H264"])
async def test_results_come_on_the_data_channel(live: LiveServer, codec: str, bundle: str) -> None:
    async with webrtcbin(live, "datachannel", codec, "", bundle) as session:
        results = await session.results(session.by_channel, 60)
    assert {(result["frame"]["width"], result["frame"]["height"]) for result in results} == {(320, 240)}
    assert all(result["frame"]["rtp_timestamp"] is not None for result in results)


@pytest.mark.parametrize("codec", ["VP8", "H264"])
async def test_results_come_on_the_web_socket(live: LiveServer, codec: str) -> None:
    async with webrtcbin(live, "websocket", codec, "", "max-bundle") as session:
        await session.results(session.by_socket, 60)
        assert session.by_channel == []


async def test_capture_times_are_near_the_truth_whatever_it_reports(live: LiveServer) -> None:
    """Reports of GStreamer 1.22 are off by as long as it has been sending; later ones come not at all."""
    async with webrtcbin(live, "websocket", "VP8", "", "max-bundle") as session:
        await session.results(session.by_socket, 150)
        newest = session.by_socket[-1]["frame"]
        age_ms = time.time() * 1000 - newest["capture_time_ms"]
        assert -500 < age_ms < 2500, newest
