"""A machine that runs out of sockets: clients are told, and so are operators."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import aiohttp
import pytest

from mediaserver.client.client import InferenceClient
from tests.support.live_server import live_server, raw_socket
from tests.support.offers import video_offer


async def test_who_gets_no_socket_is_told_and_the_server_says_so(
    tiny_models: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sdp, limits = await video_offer(), resource.getrlimit(resource.RLIMIT_NOFILE)
    async with live_server(tiny_models) as live, raw_socket(live) as socket, aiohttp.ClientSession() as http:
        await socket.send_json({"type": "hello", "channel": "websocket"})
        await socket.receive_json(timeout=5)
        os.close(next_one := os.dup(0))
        resource.setrlimit(resource.RLIMIT_NOFILE, (next_one, limits[1]))
        try:
            await socket.send_json({"type": "offer", "sdp": sdp})
            error = await socket.receive_json(timeout=10)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        assert (error["type"], error["code"], error["fatal"]) == ("error", "out_of_sockets", False)
        assert live.metric("socket_failures_total") == 1
        async with http.get(f"{live.http_url}readyz") as ready:
            body = await ready.json()
            assert ready.status == 503
            assert (body["refusal"], body["accepting"]) == ("sockets", False)
            assert "descriptors" in body["failure"]
        await socket.send_json({"type": "ping", "id": 1})
        assert (await socket.receive_json(timeout=5))["type"] == "pong", "who is there stays"
    lines = [record.getMessage() for record in caplog.records if "out of sockets" in record.getMessage()]
    assert len(lines) == 1


async def test_our_client_does_not_blame_its_network_for_it(
    tiny_models: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mediaserver.webrtc.peer.gathered_addresses", lambda interfaces: [])
    notices: list[str] = []
    async with live_server(tiny_models) as live:
        async with InferenceClient(live.socket_url, on_notice=notices.append) as client:
            results = [result async for result in client.stream(clip)]
    assert results, "pictures went over the socket"
    [words] = notices
    assert words.startswith("the server gives no media path now: ")


async def test_an_encoder_is_told_when_to_try_again(
    tiny_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mediaserver.webrtc.peer.gathered_addresses", lambda interfaces: [])
    sdp, headers = await video_offer(), {"Content-Type": "application/sdp"}
    async with live_server(tiny_models) as live, aiohttp.ClientSession(live.http_url) as http:
        async with http.post("/whip", data=sdp, headers=headers) as refused:
            assert (refused.status, refused.headers["Retry-After"]) == (503, "10")
            assert (await refused.json())["error"] == "out_of_sockets"
