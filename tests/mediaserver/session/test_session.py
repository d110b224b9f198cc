from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from dataclasses import replace

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from inference.engines.charged import RunCosts
from inference.engines.contract import (
    Engine,
    Head,
    HeadLayout,
    InFlight,
    ModelFailed,
    ModelInfo,
    Placement,
    Task,
)
from inference.engines.embedded import EmbeddedEngine
from inference.fair_threads import FairThreads
from inference.load_shedding import CAPPED_RATE, Concession
from inference.pipeline import PipelineOptions
from inference.scheduler import Scheduler
from mediaserver.session.jpeg_decoder import decode_jpeg
from mediaserver.session.session import Inference, Session
from mediaserver.session.shortage import Shortage
from mediaserver.settings.model import Settings
from mediaserver.telemetry.metrics import Metrics
from signaling.jpeg import JpegFrame, parse_jpeg
from signaling.messages import Result, ServerMessage
from tests.support.waiting import eventually

WHOLE_FRAME = Placement(320, 240, 1.0, 0.0, 0.0)
NOTHING = PipelineOptions(detect=False, pose=False)
FRAME = parse_jpeg(bytes(cv2.imencode(".jpg", np.zeros((48, 64, 3), np.uint8))[1]))
DAMAGED = JpegFrame(b"\xff\xd8\xff\xd9", 64, 48, None)


class Client:
    """Takes a session's output; reads nothing while `reads` is clear."""

    def __init__(self) -> None:
        self.reads = asyncio.Event()
        self.reads.set()
        self.messages: list[ServerMessage] = []
        self.results: list[Result] = []

    async def send(self, message: ServerMessage) -> None:
        await self.reads.wait()
        self.messages.append(message)

    async def room(self) -> None: ...

    async def send_result(self, result: Result) -> bool:
        self.results.append(result)
        return True


def inference_with(engine: Engine, scheduler: Scheduler, threads: FairThreads) -> Inference:
    return Inference(
        engine,
        RunCosts(Metrics()),
        scheduler,
        threads,
        threads,
        threads,
        Metrics(),
        Settings(),
        Shortage(Metrics()),
    )


@pytest.fixture
async def inference() -> AsyncIterator[Inference]:
    """For one frame at a time over all sessions, without any model."""
    engine = await EmbeddedEngine.open({})
    with FairThreads(2, "all") as threads:
        yield inference_with(engine, Scheduler(lambda: 1), threads)
    await engine.close()


async def test_a_client_that_does_not_read_holds_up_nobody_else(inference: Inference) -> None:
    stuck, other = Client(), Client()
    stuck.reads.clear()
    sessions = [Session(inference, NOTHING) for _ in range(2)]
    runs = [
        asyncio.create_task(session.run(client))
        for session, client in zip(sessions, (stuck, other), strict=True)
    ]
    sessions[0].sink.put_jpeg(DAMAGED)
    await eventually(
        lambda: inference.metrics.registry.get_sample_value(
            "mediaserver_protocol_errors_total", {"code": "bad_frame"}
        )
    )
    sessions[1].sink.put_jpeg(FRAME)
    await eventually(lambda: other.results)
    assert stuck.messages == []
    for run in runs:
        run.cancel()
    await asyncio.wait(runs)


async def test_a_picture_that_takes_long_to_decode_holds_no_turn(
    inference: Inference, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = threading.Event()

    def slow(frame: JpegFrame) -> av.VideoFrame:
        if frame is bomb:
            decoded.wait(10)
        return decode_jpeg(frame)

    bomb = replace(FRAME)
    monkeypatch.setattr("mediaserver.session.frame_scaler.decode_jpeg", slow)
    hostile, other = Client(), Client()
    sessions = [Session(inference, NOTHING) for _ in range(2)]
    runs = [
        asyncio.create_task(session.run(client))
        for session, client in zip(sessions, (hostile, other), strict=True)
    ]
    try:
        sessions[1].sink.put_jpeg(FRAME)
        await eventually(lambda: other.results, timeout_s=5)
        sessions[0].sink.put_jpeg(bomb)
        await asyncio.sleep(0.1)
        sessions[1].sink.put_jpeg(FRAME)
        await eventually(lambda: len(other.results) == 2, timeout_s=5)
        assert hostile.results == []
        decoded.set()
        await eventually(lambda: hostile.results, timeout_s=5)
    finally:
        decoded.set()
        for run in runs:
            run.cancel()
        await asyncio.wait(runs)


async def test_a_resumed_session_runs_on_one_connection_at_a_time(inference: Inference) -> None:
    first, second = Client(), Client()
    session = Session(inference, NOTHING)
    runs = [asyncio.create_task(session.run(client)) for client in (first, second)]
    while session.inferred < 3:
        session.sink.put_jpeg(FRAME)
        await asyncio.sleep(0.01)
    assert second.results == []
    runs[0].cancel()
    await asyncio.wait(runs[:1])
    session.sink.put_jpeg(FRAME)
    await eventually(lambda: second.results)
    assert second.results[0].seq == first.results[-1].seq + 1
    runs[1].cancel()
    await asyncio.wait(runs[1:])


class Gate:
    """An engine whose runs end when they may, and that counts those under way."""

    def __init__(self, of_one_session: int) -> None:
        self.in_flight = InFlight(8, of_one_session)
        self.trouble = None
        self.models = {Task.POSE: ModelInfo(Task.POSE, "nobody", (), HeadLayout.END_TO_END, WHOLE_FRAME)}
        self.under_way = 0
        self.broken = False
        self.opened = asyncio.Event()

    async def ready(self) -> None: ...

    async def infer(self, task: Task, images: NDArray[np.uint8]) -> Head:
        self.under_way += 1
        await self.opened.wait()
        self.under_way -= 1
        if self.broken:
            raise ModelFailed("it fell over")
        return (np.zeros((1, 1, 57), np.float32),)

    async def close(self) -> None: ...


@pytest.mark.parametrize("of_one_session", [1, 2])
async def test_as_many_frames_are_under_way_as_the_engine_has_use_for(of_one_session: int) -> None:
    """The others are replaced in the slot, and those under way come back in order."""
    engine, client = Gate(of_one_session), Client()
    with FairThreads(2, "all") as threads:
        scheduler = Scheduler(lambda: engine.in_flight.frames)
        inference = inference_with(engine, scheduler, threads)
        session = Session(inference, PipelineOptions(detect=False))
        run = asyncio.create_task(session.run(client))
        for _ in range(6):
            session.sink.put_jpeg(FRAME)
            await asyncio.sleep(0.05)
        assert engine.under_way == scheduler.in_flight == of_one_session
        engine.opened.set()
        await eventually(lambda: len(client.results) == of_one_session + 1)
        assert [result.seq for result in client.results] == list(range(1, of_one_session + 2))
        times = [result.frame.pts_ms for result in client.results]
        assert times == sorted(times)
        assert session.dropped["sink"] == 6 - len(client.results)
        assert scheduler.in_flight == 0
        engine.opened.clear()
        for _ in range(3):
            session.sink.put_jpeg(FRAME)
            await asyncio.sleep(0.02)
        run.cancel()
        await asyncio.wait([run])
        assert scheduler.in_flight == 0, "a session that ends gives its turns back"


async def test_results_stay_in_order_though_a_client_is_slow_to_take_reports() -> None:
    engine, client = Gate(of_one_session=2), Client()
    engine.broken = True
    client.reads.clear()
    with FairThreads(2, "all") as threads:
        scheduler = Scheduler(lambda: engine.in_flight.frames)
        inference = inference_with(engine, scheduler, threads)
        session = Session(inference, PipelineOptions(detect=False))
        run = asyncio.create_task(session.run(client))
        session.sink.put_jpeg(FRAME)
        await eventually(lambda: engine.under_way == 1)
        session.sink.put_jpeg(FRAME)
        await eventually(lambda: engine.under_way == 2)
        engine.opened.set()
        await eventually(lambda: len(client.results) == 2)
        client.reads.set()
        await eventually(lambda: client.messages)
        assert [result.seq for result in client.results] == [1, 2]
        run.cancel()
        await asyncio.wait([run])


async def test_a_bounded_rate_is_kept_to_whenever_frames_come(inference: Inference) -> None:
    session = Session(inference, NOTHING)
    session.concede(Concession(capped=True))
    running = asyncio.create_task(session.run(Client()))
    loop = asyncio.get_running_loop()
    began = loop.time()
    while loop.time() - began < 2.0:
        session.sink.put_jpeg(FRAME)
        await asyncio.sleep(1 / 15)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert 12 <= session.inferred <= CAPPED_RATE * 2 + 2
