"""A server that has used up what memory it may have (``ulimit -v``): who cannot be served is told, and the
others go on."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import cv2
import numpy as np
import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType, WSServerHandshakeError
from aiortc import RTCSessionDescription

from tests.support.jpeg_client import jpeg_client
from tests.support.live_server import raw_socket
from tests.support.offers import offering
from tests.support.server_process import ServerProcess, server_process
from tests.support.waiting import eventually

LEFT_BYTES = 2 * 2**20
"""Enough for what there is room for already; not for a large picture, nor for the stack of a thread."""


@contextlib.contextmanager
def memory_used_up(server: ServerProcess) -> Iterator[None]:
    """But for `LEFT_BYTES`, whatever the server has used so far."""
    pid = server.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_AS)
    used = int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()
    resource.prlimit(pid, resource.RLIMIT_AS, (used + LEFT_BYTES, before[1]))
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_AS, before)


async def greet(socket: ClientWebSocketResponse) -> None:
    await socket.send_json({"type": "hello", "channel": "websocket"})
    await socket.receive_json(timeout=10)


async def closing_of(socket: ClientWebSocketResponse) -> str:
    """Why the server ends the connection; waits for it."""
    async with asyncio.timeout(10):
        while (message := await socket.receive()).type is WSMsgType.TEXT:
            if message.json()["type"] == "closing":
                return str(message.json()["reason"])
    raise AssertionError(f"it ended without a word: {message}")


async def answer_to_a_large_picture(socket: ClientWebSocketResponse) -> str:
    """What it is told in the end."""
    picture = np.full((1080, 1920, 3), 255, np.uint8)
    cv2.putText(picture, "EXIT", (200, 700), cv2.FONT_HERSHEY_SIMPLEX, 20, (0, 0, 0), 30)
    await socket.send_json({"type": "trigger"})
    await socket.send_bytes(cv2.imencode(".jpg", picture)[1].tobytes())
    async with asyncio.timeout(10):
        while (kind := (await socket.receive_json())["type"]) not in ("result", "closing"):
            pass
    return str(kind)


async def sends_video(socket: ClientWebSocketResponse) -> str:
    async with offering() as peer:
        await socket.send_json({"type": "offer", "sdp": peer.localDescription.sdp})
        answer = await socket.receive_json(timeout=10)
        await peer.setRemoteDescription(RTCSessionDescription(answer["sdp"], "answer"))
        return await closing_of(socket)


async def connects(server: ServerProcess) -> None:
    """Again and again, until that is refused."""
    async with aiohttp.ClientSession() as http, asyncio.timeout(5):
        while True:
            async with http.ws_connect(server.socket_url):
                await asyncio.sleep(0.2)


async def test_who_cannot_be_served_is_told_and_the_others_go_on(tiny_models: Path, jpeg: bytes) -> None:
    async with server_process(tiny_models) as server, jpeg_client(server, jpeg) as other:
        await eventually(lambda: len(other.results) > 20)
        async with raw_socket(server) as pictures, raw_socket(server) as video:
            for socket in (pictures, video):
                await greet(socket)
            with memory_used_up(server):
                answer, end = await asyncio.gather(answer_to_a_large_picture(pictures), sends_video(video))
                assert answer in ("result", "closing"), "there may be room for it"
                assert end == "server_full", "there is none for the stack of a thread"
                with pytest.raises(WSServerHandshakeError, match="503"):
                    await connects(server)
                results = len(other.results)
                await eventually(lambda: len(other.results) > results + 20)
        await asyncio.sleep(1)  # for so long it remembers that there was none
        async with raw_socket(server) as again:
            await greet(again)
        with memory_used_up(server):
            server.process.send_signal(signal.SIGTERM)
            await asyncio.wait_for(server.process.wait(), 15)
        assert "Traceback" not in server.text
        assert server.lines("out of memory")
