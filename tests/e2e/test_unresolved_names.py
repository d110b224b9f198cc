"""Candidates that are names, as of browsers without leave to use a camera: nothing waits for them."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiortc import RTCSessionDescription

from tests.support.dtls_clients import dtls_client
from tests.support.live_server import live_server, raw_socket
from tests.support.waiting import eventually

HOSTS = ("{}.local", "{}.example.com", "localhost", "{}.LOCAL.")


async def next_of(socket: aiohttp.ClientWebSocketResponse, kind: str) -> dict[str, Any]:
    """Skips messages of other kinds."""
    async with asyncio.timeout(10):
        while (message := await socket.receive_json())["type"] != kind:
            assert message["type"] != "error", message
    return dict(message)


def candidate(number: int) -> str:
    host = HOSTS[number % len(HOSTS)].format(f"{number:08x}-aaaa-4bbb-8ccc-dddddddddddd")
    return f"candidate:{number} 1 udp 2113937151 {host} {50000 + number} typ host"


@pytest.mark.parametrize("where", ["trickled", "in the offer"])
async def test_pongs_frames_and_bye_go_on(tiny_models: Path, jpeg: bytes, where: str) -> None:
    client = dtls_client()
    try:
        await client.setLocalDescription(await client.createOffer())
        lines = [line for line in client.localDescription.sdp.splitlines() if "candidate" not in line]
        names = [candidate(number) for number in range(12)]
        if where == "in the offer":
            mid = lines.index("a=mid:0") + 1
            lines[mid:mid] = [*(f"a={name}" for name in names), "a=end-of-candidates"]
        async with live_server(tiny_models) as live, raw_socket(live) as socket:
            await socket.send_json({"type": "hello", "channel": "websocket"})
            await next_of(socket, "welcome")
            began = time.monotonic()
            await socket.send_json({"type": "offer", "sdp": "\r\n".join((*lines, ""))})
            if where == "trickled":
                await next_of(socket, "answer")
                for name in names:
                    await socket.send_json(
                        {"type": "candidate", "candidate": {"candidate": name, "sdpMid": "0"}}
                    )
                await socket.send_json({"type": "candidate", "candidate": None})
            await socket.send_bytes(jpeg)
            await socket.send_json({"type": "ping", "id": 1})
            await next_of(socket, "pong")
            await socket.send_bytes(jpeg)
            await next_of(socket, "result")
            await socket.send_json({"type": "bye"})
            assert (await next_of(socket, "closing"))["reason"] == "bye"
            assert time.monotonic() - began < 6, "aiortc waits a second for each name"
    finally:
        await client.close()


@pytest.mark.parametrize("where", ["trickled", "in the offer"])
async def test_the_client_s_own_checks_connect(tiny_models: Path, where: str) -> None:
    """Though names are all that it told, and that it has no more."""
    client = dtls_client()
    try:
        await client.setLocalDescription(await client.createOffer())
        lines = client.localDescription.sdp.splitlines()
        offer = [
            " ".join((*line.split()[:4], "00000001-aaaa-4bbb-8ccc-dddddddddddd.local", *line.split()[5:]))
            if line.startswith("a=candidate")
            else line
            for line in lines
            if where == "in the offer" or "candidate" not in line
        ]
        async with live_server(tiny_models) as live, raw_socket(live) as socket:
            await socket.send_json({"type": "hello", "channel": "websocket"})
            await next_of(socket, "welcome")
            await socket.send_json({"type": "offer", "sdp": "\r\n".join((*offer, ""))})
            answer = await next_of(socket, "answer")
            if where == "trickled":
                name = candidate(0)
                await socket.send_json({"type": "candidate", "candidate": {"candidate": name, "sdpMid": "0"}})
                await socket.send_json({"type": "candidate", "candidate": None})
            await asyncio.sleep(0.5)  # the server's checks, were there any, would have failed by now
            await client.setRemoteDescription(RTCSessionDescription(answer["sdp"], "answer"))
            await eventually(lambda: client.connectionState == "connected", 15)
    finally:
        await client.close()
