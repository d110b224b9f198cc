from __future__ import annotations

from pathlib import Path

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection

from mediaserver.session.service import Service
from tests.support.live_server import live_server, raw_socket


async def offer() -> str:
    client = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    client.addTransceiver("video", direction="sendonly")
    try:
        return (await client.createOffer()).sdp
    finally:
        await client.close()


async def test_offers_have_a_rate_and_the_peer_connection_before_stays(tiny_models: Path) -> None:
    sdp = await offer()
    async with live_server(tiny_models) as live, raw_socket(live) as socket:
        await socket.send_json({"type": "hello", "channel": "websocket"})
        await socket.receive_json(timeout=5)
        answers = []
        for _ in range(8):
            await socket.send_json({"type": "offer", "sdp": sdp})
            answers.append(await socket.receive_json(timeout=10))
        refused = [answer for answer in answers if answer["type"] == "error"]
        assert {answer["code"] for answer in refused} == {"rate_limited"}
        assert not any(answer["fatal"] for answer in refused)
        assert [answer["type"] for answer in answers[:6]] == ["answer"] * 6
        candidate = {"candidate": "candidate:1 1 udp 1 198.51.100.7 9 typ host", "sdpMid": "0"}
        await socket.send_json({"type": "candidate", "candidate": candidate})
        await socket.send_json({"type": "ping", "id": 7})
        assert (await socket.receive_json(timeout=5))["type"] == "pong", "candidates still have their place"


async def test_what_no_well_meaning_client_sends_ends_the_session_with_words(tiny_models: Path) -> None:
    async with live_server(tiny_models) as live, raw_socket(live) as socket:
        await socket.send_json({"type": "hello"})
        await socket.receive_json(timeout=5)
        (connection,) = live.server._connections
        service = connection._service
        assert isinstance(service, Service)
        service._media._refuse("enough")
        error = await socket.receive_json(timeout=5)
        assert (error["type"], error["message"], error["fatal"]) == ("error", "enough", True)
        assert (await socket.receive_json(timeout=5))["reason"] == "protocol_error"


@pytest.mark.parametrize("model", ["ocr"])
async def test_a_trigger_for_a_model_that_is_not_there_is_refused(
    tiny_models: Path, monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    monkeypatch.setattr("mediaserver.session.service.available_models", lambda models: {})
    async with live_server(tiny_models) as live, raw_socket(live) as socket:
        await socket.send_json({"type": "hello"})
        await socket.receive_json(timeout=5)
        await socket.send_json({"type": "trigger", "model": model})
        assert (await socket.receive_json(timeout=5))["code"] == "model_unavailable"
