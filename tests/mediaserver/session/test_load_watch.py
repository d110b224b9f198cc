from __future__ import annotations

import json
from pathlib import Path

import pytest

from inference.load_shedding import REFUSING
from mediaserver.session.load_watch import LoadWatch
from tests.support.jpeg_client import jpeg_client
from tests.support.live_server import live_server, raw_socket
from tests.support.slow_engine import SlowEngine
from tests.support.waiting import eventually


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No look is waited for twice."""
    for name in ("SHORT_S", "INTERVAL_S"):
        monkeypatch.setattr(f"inference.load_shedding._{name}", 0.0)
    monkeypatch.setattr("mediaserver.server.core.LOOK_S", 1.0)


async def test_sessions_that_get_too_little_are_told_what_they_go_without(
    tiny_models: Path, jpeg: bytes
) -> None:
    async with (
        live_server(tiny_models, lambda engine: SlowEngine(engine, 0.25), rate_hints=False) as live,
        jpeg_client(live, jpeg, interval_s=0.05, detect=True, pose=True, flow=True) as client,
    ):
        await eventually(lambda: [] in client.degraded or len(client.degraded) >= 3, 20)
        assert client.degraded[:3] == [["flow"], ["flow", "pose"], ["flow", "pose", "detect"]]
        assert live.metric("stages_degraded", stage="flow") == 1
        assert client.states == []


async def test_one_who_does_not_read_is_no_reason(tiny_models: Path, jpeg: bytes) -> None:
    async with live_server(tiny_models) as live, raw_socket(live) as socket:
        await socket.send_str(json.dumps({"type": "hello", "channel": "websocket"}))
        await socket.receive_json(timeout=5)
        [session] = live.server._registry.connected
        watch = LoadWatch(live.server._registry, live.server.metrics)
        watch.look(0.0)
        session.sink.received += 30
        watch.look(2.0)
        watch.look(4.0)
        assert session.degraded == []


async def test_nobody_new_is_taken_when_all_has_given_way(tiny_models: Path) -> None:
    async with live_server(tiny_models) as live:
        live.server._load_watch._shedding.steps = REFUSING
        refusal = live.server.refusal()
        assert refusal is not None
        assert (refusal.reason, refusal.retry_after_s) == ("overloaded", 10)
        live.server._load_watch._shedding.steps = 0
        async with raw_socket(live) as socket:
            await socket.send_str('{"type":"hello"}')
            await socket.receive_json(timeout=5)
            live.server._load_watch._shedding.steps = REFUSING
        assert live.server.refusal() is not None
        assert live.server.refusal(comes_back=True) is None, "the one who was lost may come back"


async def test_a_sender_that_was_asked_for_fewer_frames_wants_as_many_as_before(
    tiny_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inference.load_shedding._SHORT_S", 60.0)  # nothing gives way meanwhile
    async with live_server(tiny_models) as live, raw_socket(live) as socket:
        await socket.send_str(json.dumps({"type": "hello", "channel": "websocket"}))
        await socket.receive_json(timeout=5)
        [session] = live.server._registry.connected
        loads = []
        for asked in (None, 6.0, 20.0):
            session.asked_framerate = asked
            watch = LoadWatch(live.server._registry, live.server.metrics)
            watch.look(0.0)
            session.sink.received += 12  # 6 a second
            session.inferred += 10
            session._busy._spent_s += 2.0
            watch.look(2.0)
            loads.append(round(watch.load, 2))
        assert loads == [0.17, 0.5, 0.17], (
            "5 of 6; of the 10 that it would send; of 6, whatever was asked for"
        )


async def test_lock_step_gives_nothing(tiny_models: Path) -> None:
    async with live_server(tiny_models) as live, raw_socket(live) as socket:
        await socket.send_str(json.dumps({"type": "hello", "channel": "websocket", "every_frame": True}))
        await socket.receive_json(timeout=5)
        [session] = live.server._registry.connected
        live.server._load_watch._shedding.steps = REFUSING
        live.server._load_watch.look(0.0)
        assert session.degraded == []
