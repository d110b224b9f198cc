from __future__ import annotations

from pathlib import Path

import aiohttp
import pytest

from mediaserver.server.core import Readiness
from mediaserver.server.memory import Memory
from signaling.websocket import SignalingSocket
from tests.support.live_server import live_server, raw_socket
from tests.support.waiting import eventually


async def test_a_pause_refuses_new_connections_and_ends_by_itself(tiny_models: Path) -> None:
    async with live_server(tiny_models) as live:
        assert live.server.pause(60, if_idle=True)
        assert live.server.readiness is Readiness.DRAINING
        refusal = live.server.refusal()
        assert refusal is not None
        assert (refusal.reason, refusal.retry_after_s) == ("draining", 60)
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
