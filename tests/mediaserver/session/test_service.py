from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import aiohttp
import cv2
import numpy as np
import pytest

from mediaserver.session.service import Service
from tests.support.live_server import live_server, raw_socket
from tests.support.offers import video_offer


async def test_offers_have_a_rate_and_the_peer_connection_before_stays(tiny_models: Path) -> None:
    sdp = await video_offer()
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


async def test_for_who_does_not_read_nothing_is_inferred_and_in_the_end_it_has_to_go(
    tiny_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("signaling.websocket._UNREAD_TIMEOUT_S", 2.0)
    jpeg = bytes(cv2.imencode(".jpg", np.zeros((48, 64, 3), np.uint8))[1])
    async with live_server(tiny_models) as live, raw_socket(live, autoping=False) as socket:
        await socket.send_json({"type": "hello", "channel": "websocket"})
        welcome = await socket.receive_json(timeout=5)
        (connection,) = live.server._connections
        service = connection._service
        assert isinstance(service, Service)
        inferred = []
        while live.server._connections:
            with contextlib.suppress(aiohttp.ClientConnectionResetError):  # it has just ended
                await socket.send_bytes(jpeg)
            await asyncio.sleep(0.05)
            inferred.append(service.session.inferred)
        assert 0 < inferred[-1] == inferred[-10], f"it stopped, {welcome}"
        messages = [message async for message in socket]
        ends = [message.json() for message in messages if message.type is aiohttp.WSMsgType.TEXT]
        assert ends[-1]["reason"] == "ping_timeout"


async def test_what_no_well_meaning_client_sends_ends_the_session_with_words(tiny_models: Path) -> None:
    async with live_server(tiny_models) as live, raw_socket(live) as socket:
        await socket.send_json({"type": "hello"})
        await socket.receive_json(timeout=5)
        (connection,) = live.server._connections
        service = connection._service
        assert isinstance(service, Service)
        service.media._refuse("enough")
        error = await socket.receive_json(timeout=5)
        assert (error["type"], error["message"], error["fatal"]) == ("error", "enough", True)
        assert (await socket.receive_json(timeout=5))["reason"] == "protocol_error"


@pytest.mark.parametrize("model", ["ocr"])
async def test_a_trigger_for_a_model_that_is_not_there_is_refused(
    tiny_models: Path, monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    monkeypatch.setattr("mediaserver.session.dialogue.available_models", lambda models: {})
    async with live_server(tiny_models) as live, raw_socket(live) as socket:
        await socket.send_json({"type": "hello"})
        await socket.receive_json(timeout=5)
        await socket.send_json({"type": "trigger", "model": model})
        assert (await socket.receive_json(timeout=5))["code"] == "model_unavailable"
