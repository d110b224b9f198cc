"""A client whose DTLS handshake fails: it is named wherever somebody may look for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiortc import RTCPeerConnection, RTCSessionDescription

from tests.support.dtls_clients import dtls_client
from tests.support.live_server import LiveServer, live_server, raw_socket
from tests.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def live(tiny_models: Path) -> AsyncIterator[LiveServer]:
    async with live_server(tiny_models, no_media_timeout_s=2.0) as running:
        yield running


async def offer(socket: aiohttp.ClientWebSocketResponse, client: RTCPeerConnection) -> str:
    """Offers, and returns the answer."""
    await socket.send_json({"type": "hello", "channel": "websocket"})
    await socket.receive_json(timeout=5)
    await client.setLocalDescription(await client.createOffer())
    await socket.send_json({"type": "offer", "sdp": client.localDescription.sdp})
    return str((await socket.receive_json(timeout=5))["sdp"])


async def failing(socket: aiohttp.ClientWebSocketResponse) -> dict[str, Any]:
    """Offers what no handshake can come of; what the server says then."""
    client = dtls_client(ciphers=b"ECDHE-RSA-AES128-GCM-SHA256")
    try:
        answer = await offer(socket, client)
        await client.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        told: dict[str, Any] = await socket.receive_json(timeout=10)
        return told
    finally:
        await client.close()


async def test_the_event_the_log_the_metric_and_the_end_name_it(
    live: LiveServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    before = live.ended("dtls_failed"), live.metric("media_failures_total", cause="dtls")
    async with raw_socket(live) as socket:
        told = await failing(socket)
    assert (told["event"], told["state"], told["cause"]) == ("state", "media_failed", "dtls")
    assert "DTLS" in told["message"]
    assert "no shared cipher" in told["message"]
    await eventually(lambda: live.ended("dtls_failed") == before[0] + 1)
    assert live.metric("media_failures_total", cause="dtls") == before[1] + 1
    assert any("no shared cipher" in record.getMessage() for record in caplog.records)
    assert live.ended("client_gone") == 0


async def test_who_goes_on_with_jpeg_frames_ends_as_anybody(live: LiveServer, jpeg: bytes) -> None:
    before = live.ended("client_gone")
    async with raw_socket(live) as socket:
        await failing(socket)
        await socket.send_bytes(jpeg)
        assert (await socket.receive_json(timeout=10))["type"] == "result"
    await eventually(lambda: live.ended("client_gone") == before + 1)


async def test_a_handshake_that_never_begins_is_named_in_the_end(live: LiveServer) -> None:
    client = dtls_client()
    try:
        async with raw_socket(live) as socket:
            answer = await offer(socket, client)
            # Now both sides wait for the other to begin.
            client.getTransceivers()[0].sender.transport._set_role("server")  # type: ignore[attr-defined]
            await client.setRemoteDescription(
                RTCSessionDescription(answer.replace("a=setup:passive", "a=setup:active"), "answer")
            )
            async with asyncio.timeout(20):
                while (told := await socket.receive_json())["type"] != "closing":
                    pass
        assert told["reason"] == "dtls_failed"
    finally:
        await client.close()
