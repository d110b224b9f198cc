from __future__ import annotations

import contextlib
import logging
from pathlib import Path

import aiohttp
import pytest

from signaling.messages import EndReason
from signaling.websocket import SignalingSocket
from tests.support.live_server import live_server, raw_socket
from tests.support.waiting import eventually
from tests.support.whip_client import whip_client


async def test_a_session_is_counted_no_more_though_its_connection_cannot_be_closed_well(
    tiny_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who stops idle machines looks at this count: a session that stayed in it would be paid for."""

    async def fail(socket: SignalingSocket) -> None:
        raise OSError("no such thing")

    async with live_server(tiny_models) as live, raw_socket(live) as socket:
        monkeypatch.setattr(SignalingSocket, "close", fail)
        await socket.send_str('{"type":"hello"}')
        await socket.receive_json(timeout=5)
        assert live.server.sessions == 1
        await socket.send_str('{"type":"bye"}')
        await eventually(lambda: live.metric("connections_open") == 0)
        assert live.server.sessions == 0
        assert live.ended(EndReason.BYE) == 1


async def test_whoever_is_silent_longest_leaves_when_too_many_greet(
    tiny_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sockets that never say hello keep nobody out, however many they are."""
    monkeypatch.setattr("mediaserver.server.core._MAX_GREETING", 3)
    async with live_server(tiny_models, max_sessions=2) as live, contextlib.AsyncExitStack() as stack:
        silent = [await stack.enter_async_context(raw_socket(live)) for _ in range(6)]
        for socket in silent[:3]:
            closing = await socket.receive_json(timeout=2)
            assert (closing["type"], closing["reason"]) == ("closing", "hello_timeout")
        for _ in range(2):
            socket = await stack.enter_async_context(raw_socket(live))
            await socket.send_str('{"type":"hello"}')
            assert (await socket.receive_json(timeout=5))["type"] == "welcome"


async def test_one_address_pushes_out_its_own_silent_sockets_alone(
    tiny_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server believes a proxy on its machine, as which this test speaks."""
    monkeypatch.setattr("mediaserver.server.core._MAX_GREETING_OF_ONE", 2)
    async with live_server(tiny_models) as live, contextlib.AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession())

        async def connect(address: str) -> aiohttp.ClientWebSocketResponse:
            headers = {"X-Forwarded-For": address}
            return await stack.enter_async_context(http.ws_connect(live.socket_url, headers=headers))

        visitor = await connect("198.51.100.1")
        crowd = [await connect("203.0.113.9") for _ in range(5)]
        for socket in crowd[:3]:
            assert (await socket.receive_json(timeout=2))["reason"] == "hello_timeout"
        for socket in (visitor, *crowd[3:]):
            await socket.send_str('{"type":"hello"}')
            assert (await socket.receive_json(timeout=5))["type"] == "welcome"


async def test_places_are_taken_by_hello_not_by_the_socket(tiny_models: Path) -> None:
    async with live_server(tiny_models, max_sessions=1) as live, contextlib.AsyncExitStack() as stack:
        first, second = [await stack.enter_async_context(raw_socket(live)) for _ in range(2)]
        await second.send_str('{"type":"hello"}')
        assert (await second.receive_json(timeout=5))["type"] == "welcome"
        await first.send_str('{"type":"hello"}')
        closing = await first.receive_json(timeout=5)
        assert (closing["type"], closing["reason"], closing["retry_after_s"]) == (
            "closing",
            "server_full",
            1,
        )
        assert live.server.sessions == 1


async def test_hello_is_said_once(tiny_models: Path) -> None:
    async with live_server(tiny_models) as live, raw_socket(live) as socket:
        for _ in range(2):
            await socket.send_str('{"type":"hello"}')
        assert (await socket.receive_json(timeout=5))["type"] == "welcome"
        assert (await socket.receive_json(timeout=5))["code"] == "unexpected_message"
        await socket.send_str('{"type":"ping"}')
        assert (await socket.receive_json(timeout=5))["type"] == "pong"


async def test_the_log_names_the_stream(tiny_models: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with live_server(tiny_models) as live:
        for path in ("/whip/door", "/whip"):
            async with whip_client(live, path):
                pass
    started = [record for record in caplog.records if record.getMessage() == "session started"]
    assert [vars(record)["fields"].get("stream") for record in started] == ["door", None]
