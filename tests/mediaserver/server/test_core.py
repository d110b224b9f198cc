from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from inference.load_shedding import REFUSING
from mediaserver.server.core import Readiness
from mediaserver.server.memory import Memory
from mediaserver.server.scoreboard import LoadPart
from signaling.websocket import SignalingSocket
from tests.support.jpeg_client import jpeg_client
from tests.support.live_server import LiveServer, live_server, raw_socket
from tests.support.waiting import eventually


async def test_a_pause_refuses_new_connections_and_ends_by_itself(tiny_models: Path) -> None:
    async with live_server(tiny_models) as live:
        assert live.server.pause(60, if_idle=True)
        assert live.server.readiness is Readiness.DRAINING
        refusal = live.server.refusal()
        assert refusal is not None
        assert (refusal.reason, refusal.retry_after_s) == ("draining", 10)
        with pytest.raises(aiohttp.WSServerHandshakeError, match="503"):
            async with raw_socket(live):
                pass
        assert live.server.pause(0.1, if_idle=True)
        await eventually(lambda: live.server.refusal() is None)
        async with raw_socket(live) as socket:
            await socket.send_str('{"type":"hello"}')
            assert (await socket.receive_json(timeout=5))["type"] == "welcome"


async def test_nobody_new_is_taken_while_memory_is_short(
    tiny_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, number in (("memory.current", 950), ("memory.high", 1000), ("memory.max", 2000)):
        (tmp_path / name).write_text(str(number))
    monkeypatch.setattr(Memory, "of_this_process", lambda: Memory(tmp_path))
    async with live_server(tiny_models, wait_ready=False) as live, aiohttp.ClientSession() as http:
        await eventually(lambda: live.server.readiness is Readiness.READY, 30)
        async with http.get(f"{live.http_url}readyz") as response:
            answer = await response.json()
            assert (response.status, answer["accepting"], answer["refusal"]) == (200, False, "memory")
        async with http.get(f"{live.http_url}ws/inference") as response:
            assert (response.status, (await response.json())["error"]) == (503, "memory")
        assert live.metric("connections_refused_total", reason="memory") == 1
        (tmp_path / "memory.current").write_text("100")
        await eventually(lambda: live.server.refusal() is None)


async def test_a_pause_spares_sessions_and_waits_for_them_if_it_may(tiny_models: Path) -> None:
    async with live_server(tiny_models) as live, raw_socket(live) as socket:
        await socket.send_str('{"type":"hello"}')
        await socket.receive_json(timeout=5)
        assert not live.server.pause(60, if_idle=True)
        assert live.server.refusal() is None
        assert live.server.pause(60, if_idle=False)
        await socket.send_str('{"type":"ping"}')
        assert (await socket.receive_json(timeout=5))["type"] == "pong"


async def test_a_session_whose_client_was_just_lost_still_counts(tiny_models: Path) -> None:
    async with live_server(tiny_models, resume_window_s=2) as live:
        async with raw_socket(live) as socket:
            await socket.send_str('{"type":"hello"}')
            await socket.receive_json(timeout=5)
        await eventually(lambda: live.ended("client_gone"))
        assert not live.server.pause(60, if_idle=True)
        await eventually(lambda: live.server.pause(60, if_idle=True))


async def test_who_has_not_said_hello_is_no_session_and_is_sent_away(tiny_models: Path) -> None:
    async with live_server(tiny_models) as live, raw_socket(live) as socket:
        await eventually(lambda: live.metric("connections_open"))
        assert live.server.pause(60, if_idle=True)
        await socket.send_str('{"type":"hello"}')
        closing = await socket.receive_json(timeout=5)
        assert (closing["type"], closing["reason"]) == ("closing", "server_shutdown")


async def test_nobody_slips_in_while_the_socket_is_accepted(
    tiny_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with live_server(tiny_models) as live:
        accept = SignalingSocket.accept

        async def accept_slowly(socket: SignalingSocket) -> None:
            await accept(socket)
            assert live.server.pause(60, if_idle=True)

        monkeypatch.setattr(SignalingSocket, "accept", accept_slowly)
        async with raw_socket(live) as socket:
            await socket.send_str('{"type":"hello"}')
            closing = await socket.receive_json(timeout=5)
            assert (closing["type"], closing["reason"]) == ("closing", "server_shutdown")
        await eventually(lambda: live.ended("server_shutdown"))
        assert live.server.sessions == 0


async def greeted(socket: aiohttp.ClientWebSocketResponse, **hello: object) -> dict[str, Any]:
    await socket.send_str(json.dumps({"type": "hello", "channel": "websocket", **hello}))
    answer: dict[str, Any] = await socket.receive_json(timeout=5)
    return answer


class TestComingBack:
    """Whoever names the node may take up his session there, though nobody new may come in."""

    @pytest.fixture(params=["draining", "full", "overloaded"])
    def close(self, request: pytest.FixtureRequest) -> Callable[[LiveServer], None]:
        """Makes the server take nobody new, for one reason or another."""

        def close(live: LiveServer) -> None:
            if request.param == "draining":
                assert live.server.pause(60, if_idle=False)
            elif request.param == "full":
                assert live.server.row.take_place(None, 1) is None
            else:
                live.server._load_watch._shedding.steps = REFUSING

        return close

    async def test_own_sessions_are_taken_up(
        self, tiny_models: Path, close: Callable[[LiveServer], None]
    ) -> None:
        async with live_server(tiny_models, node="gpu-1", max_sessions=2) as live:
            async with raw_socket(live) as socket:
                welcome = await greeted(socket)
                assert welcome["node"] == "gpu-1"
                close(live)
                with pytest.raises(aiohttp.WSServerHandshakeError, match="503"):
                    async with raw_socket(live):
                        pass
                with pytest.raises(aiohttp.WSServerHandshakeError, match="503"):
                    async with raw_socket(live, node="gpu-2"):
                        pass
                async with raw_socket(live, node="gpu-1") as again:
                    welcomed = await greeted(again, resume=welcome["resume_token"])
                    assert (welcomed["resumed"], welcomed["session"]) == (True, welcome["session"])

    @pytest.mark.parametrize("resume", [None, "no-such-token"])
    async def test_nobody_else_slips_in(
        self, tiny_models: Path, close: Callable[[LiveServer], None], resume: str | None
    ) -> None:
        async with live_server(tiny_models, node="gpu-1", max_sessions=1) as live:
            close(live)
            async with raw_socket(live, node="gpu-1") as socket:
                closing = await greeted(socket, resume=resume)
            assert closing["type"] == "closing"
            assert closing["reason"] in ("server_shutdown", "server_full")
            assert live.server.sessions == 0


async def test_a_server_that_is_to_end_lets_sessions_go_on_and_then_sends_them_away_one_by_one(
    tiny_models: Path, jpeg: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mediaserver.server.core._MOVE_INTERVAL_S", 0.2)
    monkeypatch.setattr("mediaserver.session.socket_connection._MOVE_S", 1.0)
    async with (
        live_server(tiny_models, node="gpu-1") as live,
        jpeg_client(live, jpeg) as first,
        jpeg_client(live, jpeg) as second,
        aiohttp.ClientSession(live.http_url) as http,
    ):
        live.server.row.board.end_by(time.monotonic() + 1.0)
        ending = asyncio.create_task(live.server.wind_down())
        async with http.get("/readyz") as response:
            assert (response.status, (await response.json())["state"]) == (503, "draining")
            assert response.headers["x-envoy-degraded"] == "true", "Envoy still leads its own sessions there"
        async with http.get("/healthz") as response:
            assert response.status == 200, "nobody should kill it"
        async with http.get("/ws/inference") as response:
            assert (response.status, (await response.json())["error"]) == (503, "draining")
            assert int(response.headers["Retry-After"]) <= 10
        assert first.closing == []
        await eventually(lambda: first.closing)
        results = len(first.results)
        await eventually(lambda: second.closing)
        await eventually(lambda: len(first.results) > results + 2)
        for client in (first, second):
            assert [(end["reason"], end["retry_after_s"]) for end in client.closing] == [("moved", 0.0)]
        with pytest.raises(aiohttp.WSServerHandshakeError, match="503"):
            async with raw_socket(live, node="gpu-1"):
                pass  # too late to come back
        await ending
        await eventually(lambda: first.closed and second.closed)
        assert live.ended("moved") == 2


async def test_a_server_that_is_to_end_waits_for_nobody_where_there_is_nobody(tiny_models: Path) -> None:
    async with live_server(tiny_models) as live:
        live.server.row.board.end_by(time.monotonic() + 60.0)
        async with asyncio.timeout(5):
            await live.server.wind_down()


async def test_the_load_is_told(tiny_models: Path) -> None:
    async with (
        live_server(tiny_models, max_sessions=4, node="gpu-1") as live,
        raw_socket(live) as socket,
        aiohttp.ClientSession(live.http_url) as http,
    ):
        await greeted(socket)
        async with http.get("/readyz") as response:
            told = await response.json()
        assert told["node"] == "gpu-1"
        assert told["load"] == max(told["load_parts"].values()) >= 0.25
        assert told["load_parts"]["sessions"] == 0.25
        await eventually(lambda: live.metric("load_part", part="sessions") == 0.25)
        assert live.metric("load") >= 0.25
        assert {part for part in told["load_parts"]} == {*LoadPart}


async def test_a_server_whose_event_loop_is_full_takes_nobody_until_it_has_room(tiny_models: Path) -> None:
    async with live_server(tiny_models) as live:
        for load, refused in ((0.97, True), (0.85, True), (0.5, False)):
            live.server._admission.look(load)
            refusal = live.server.refusal()
            assert (refusal is not None) is refused
            assert refusal is None or refusal.reason == "overloaded"
