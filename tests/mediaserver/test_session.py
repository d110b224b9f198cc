from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest

from inference.embedded import EmbeddedEngine
from inference.pipeline import PipelineOptions
from inference.scheduler import Scheduler
from mediaserver.jpeg import JpegFrame, parse_jpeg
from mediaserver.metrics import Metrics
from mediaserver.session import Inference, Session
from mediaserver.settings import Settings
from signaling.messages import Result, ServerMessage
from tests.waiting import eventually

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

    async def send_result(self, result: Result) -> bool:
        self.results.append(result)
        return True


@pytest.fixture
async def inference() -> AsyncIterator[Inference]:
    """For one frame at a time over all sessions, without any model."""
    engine = await EmbeddedEngine.open({})
    with ThreadPoolExecutor(2) as executor:
        yield Inference(engine, Scheduler(1), executor, executor, Metrics(), Settings())
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
