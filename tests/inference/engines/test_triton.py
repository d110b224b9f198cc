"""The engine against a real Triton, as `mediaserver.models.local_triton` runs it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import aiohttp
import numpy as np
import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer
from tritonclient.grpc.aio import InferenceServerClient

from inference.catalogue import find_models
from inference.engines.contract import (
    DeadlineMissed,
    EngineError,
    EngineOverloaded,
    EngineUnavailable,
    HeadLayout,
    InFlight,
    ModelFailed,
    ModelNotLoaded,
    Task,
)
from inference.engines.embedded import EmbeddedEngine
from inference.engines.frame_memory import FrameMemory
from inference.engines.triton import TritonEngine
from inference.stages import frame_network
from mediaserver.models.local_triton import RunningTriton, TritonPorts, triton_server
from mediaserver.models.triton_repository import Flavour, write_repository
from tests.support.clips import picture
from tests.support.tcp_relay import tcp_relay
from tests.support.triton_models import add_failing_model, write_tiny_repository
from tests.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

FRAME = picture(0.0, (320, 240))[np.newaxis]
SLOW_S = 0.3


class Seen:
    """What the engine told its observer."""

    def __init__(self) -> None:
        self.batches: list[tuple[Task, int]] = []
        self.failures: list[type[EngineError]] = []
        self.endpoints: dict[str, bool] = {}
        self.by_memory: dict[str, bool] = {}

    def batch_done(self, task: Task, size: int, seconds: float) -> None:
        assert 0 < seconds < 60
        self.batches.append((task, size))

    def batch_failed(self, task: Task, size: int, error: EngineError) -> None:
        self.failures.append(type(error))

    def endpoint_seen(self, endpoint: str, *, ready: bool, shares_memory: bool) -> None:
        self.endpoints[endpoint] = ready
        self.by_memory[endpoint] = shares_memory


@contextlib.asynccontextmanager
async def engine_at(
    *urls: str, http_port: int = 0, deadline_s: float = 5.0, ready: bool = True
) -> AsyncIterator[tuple[TritonEngine, Seen]]:
    seen = Seen()
    engine = await TritonEngine.open(urls, http_port=http_port, deadline_s=deadline_s, observer=seen)
    try:
        if ready:
            async with asyncio.timeout(20):
                await engine.ready()
        yield engine, seen
    finally:
        await engine.close()


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory, tiny_models: Path) -> Path:
    """A real detector, real segmentation, a pose model that is slow however small its batch, an OCR detector
    that fails."""
    directory = tmp_path_factory.mktemp("repository")
    write_tiny_repository(directory, tiny_models, pose_seconds=SLOW_S)
    write_repository(directory, {Task.SEGMENT: find_models(tiny_models)[Task.SEGMENT]}, Flavour.CPU)
    add_failing_model(directory, tiny_models)
    return directory


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def triton(triton_binary: Path, repository: Path) -> AsyncIterator[RunningTriton]:
    async with triton_server(triton_binary, repository, TritonPorts.free()) as running:
        yield running


@pytest.fixture(params=["grpc", "http"])
def http_port(request: pytest.FixtureRequest, triton: RunningTriton) -> int:
    return triton.http_port if request.param == "http" else 0


@pytest.mark.parametrize("task", [Task.DETECT, Task.SEGMENT])
async def test_it_finds_what_the_embedded_engine_finds(
    triton: RunningTriton, http_port: int, tiny_models: Path, task: Task
) -> None:
    frames = np.concatenate([picture(moment, (320, 240))[np.newaxis] for moment in (0.0, 0.7, 1.4)])
    embedded = await EmbeddedEngine.open({task: find_models(tiny_models)[task]})
    async with engine_at(triton.grpc, http_port=http_port) as (engine, _):
        small, dense = engine.models[task], embedded.models[task]
        assert small == replace(dense, layout=HeadLayout.CANDIDATES)
        head, expected = await engine.infer(task, frames), await embedded.infer(task, frames)
    await embedded.close()
    network = frame_network(task)
    assert network is not None
    for few, all_of_them in zip(zip(*head, strict=True), zip(*expected, strict=True), strict=True):
        found, same = network.decode(few, small, 0.3), network.decode(all_of_them, dense, 0.3)
        assert len(same.boxes)
        np.testing.assert_allclose(found.boxes, same.boxes, atol=1e-2)
        np.testing.assert_allclose(found.scores, same.scores, atol=1e-3)
        assert found.classes.tolist() == same.classes.tolist()


async def shared_memory(triton: RunningTriton) -> list[Path]:
    """What it has open of our memory."""
    async with InferenceServerClient(triton.grpc) as client:
        regions = (await client.get_system_shared_memory_status()).regions
        return [Path(f"/dev/shm{region.key}") for region in regions.values()]


async def test_a_triton_on_this_machine_reads_frames_from_memory(
    triton: RunningTriton, http_port: int
) -> None:
    async with engine_at(triton.grpc, http_port=http_port) as (engine, seen):
        assert seen.by_memory == {triton.grpc: True}
        [memory] = await shared_memory(triton)
        assert not memory.exists(), "its name is not needed any more"
        # All at once, each gets the answer to its own.
        pictures = [picture(moment, (320, 240))[np.newaxis] for moment in (0.0, 0.7, 1.4, 2.1)]
        alone = [await engine.infer(Task.DETECT, each) for each in pictures]
        together = await asyncio.gather(*(engine.infer(Task.DETECT, each) for each in pictures * 4))
        for number, (head,) in enumerate(together):
            np.testing.assert_allclose(head, alone[number % 4][0], atol=1e-4)
        assert len({head.tobytes() for (head,) in alone}) == len(pictures)
    assert await shared_memory(triton) == []


async def test_a_triton_elsewhere_gets_frames_by_grpc(
    triton: RunningTriton, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Unreachable(FrameMemory):
        def __init__(self) -> None:
            super().__init__()
            self.unlink()

    async with engine_at(triton.grpc) as (engine, _):
        by_memory = await engine.infer(Task.DETECT, FRAME)
    monkeypatch.setattr("inference.engines.triton.FrameMemory", Unreachable)
    async with engine_at(triton.grpc) as (engine, seen):
        assert engine.trouble is None
        assert seen.by_memory == {triton.grpc: False}
        assert await shared_memory(triton) == []
        np.testing.assert_allclose((await engine.infer(Task.DETECT, FRAME))[0], by_memory[0], atol=1e-4)


async def no_grpc(*arguments: object, **named: object) -> None:
    raise AssertionError("a request went by gRPC")


async def test_frames_in_memory_are_asked_for_over_http(
    triton: RunningTriton, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with engine_at(triton.grpc, http_port=triton.http_port) as (engine, _):
        monkeypatch.setattr(InferenceServerClient, "infer", no_grpc)
        for _ in range(3):
            assert len(await engine.infer(Task.DETECT, FRAME)) == 1


async def test_an_http_service_that_is_another_s_is_not_asked(triton: RunningTriton) -> None:
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.json_response({"error": "failed to get memory"}, status=400)

    app = web.Application()
    app.router.add_route("*", "/{any:.*}", answer)
    async with TestServer(app) as other, engine_at(triton.grpc, http_port=other.port or 0) as (engine, _):
        assert len(await engine.infer(Task.DETECT, FRAME)) == 1
    assert len(asked) == 1


async def test_an_http_service_that_goes_away_costs_what_is_under_way(triton: RunningTriton) -> None:
    async with (
        tcp_relay(triton.http_port) as relay,
        engine_at(triton.grpc, http_port=relay.port) as (engine, seen),
    ):
        waiting = asyncio.create_task(engine.infer(Task.POSE, FRAME))
        await asyncio.sleep(SLOW_S / 3)
        await relay.cut()
        with pytest.raises(EngineUnavailable):
            await waiting
        assert len(await engine.infer(Task.DETECT, FRAME)) == 1
        assert engine.trouble is None
        assert seen.failures == [EngineUnavailable]


async def test_requests_that_come_together_make_one_batch(triton: RunningTriton) -> None:
    async with engine_at(triton.grpc) as (engine, seen):
        await eventually(lambda: seen.endpoints.get(triton.grpc))
        await asyncio.sleep(1)  # until the watch has taken its first count
        await asyncio.gather(*(engine.infer(Task.POSE, FRAME) for _ in range(8)))
        await eventually(lambda: sum(size for _, size in seen.batches) >= 8)
        assert max(size for _, size in seen.batches) >= 3
        assert {task for task, _ in seen.batches} == {Task.POSE}


async def test_one_model_that_fails_leaves_the_others(triton: RunningTriton, http_port: int) -> None:
    async with engine_at(triton.grpc, http_port=http_port) as (engine, seen):
        with pytest.raises(ModelFailed, match="out of order"):
            await engine.infer(Task.OCR_DET, np.zeros((1, 64, 64, 3), np.uint8))
        assert len(await engine.infer(Task.DETECT, FRAME)) == 1
        assert seen.failures == [ModelFailed]
        assert engine.trouble is None


async def test_a_model_that_is_not_there_is_named(triton: RunningTriton, http_port: int) -> None:
    async with engine_at(triton.grpc, http_port=http_port) as (engine, _):
        assert Task.OCR_REC not in engine.models
        with pytest.raises(ModelNotLoaded, match="ocr_rec"):
            await engine.infer(Task.OCR_REC, np.zeros((1, 48, 64, 3), np.uint8))


async def test_no_request_waits_past_its_deadline(triton: RunningTriton, http_port: int) -> None:
    async with engine_at(triton.grpc, http_port=http_port, deadline_s=SLOW_S / 3) as (engine, seen):
        began = time.monotonic()
        answers = await asyncio.gather(
            *(engine.infer(Task.POSE, FRAME) for _ in range(6)), return_exceptions=True
        )
        assert {type(answer) for answer in answers} == {DeadlineMissed}
        assert time.monotonic() - began < 2.0
        assert seen.failures == [DeadlineMissed] * 6


async def test_more_requests_than_can_be_under_way_are_turned_away(
    triton: RunningTriton, http_port: int
) -> None:
    async with engine_at(triton.grpc, http_port=http_port, deadline_s=30) as (engine, _):
        answers = await asyncio.gather(
            *(engine.infer(Task.POSE, FRAME) for _ in range(70)), return_exceptions=True
        )
        refused = [answer for answer in answers if isinstance(answer, EngineOverloaded)]
        assert len(refused) >= 6
        assert all(isinstance(answer, tuple | EngineOverloaded) for answer in answers)
        assert len(await engine.infer(Task.POSE, FRAME)) == 1


async def test_cancelling_reaches_triton(triton: RunningTriton) -> None:
    async with engine_at(triton.grpc) as (engine, _):
        before = await cancelled_in(triton)
        # The first occupies the model; the others wait in Triton's queue when they are cancelled.
        first = asyncio.create_task(engine.infer(Task.POSE, FRAME))
        await asyncio.sleep(SLOW_S / 3)
        others = [asyncio.create_task(engine.infer(Task.POSE, FRAME)) for _ in range(4)]
        await asyncio.sleep(SLOW_S / 6)
        for task in others:
            task.cancel()
        assert len(await first) == 1
        deadline = time.monotonic() + 10
        while await cancelled_in(triton) - before < len(others):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.1)


async def cancelled_in(triton: RunningTriton) -> float:
    async with aiohttp.ClientSession() as http, http.get(triton.metrics_url) as response:
        lines = (await response.text()).splitlines()
    wanted = 'nv_inference_request_failure{model="pose",reason="CANCELED"'
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(wanted))


async def test_a_slow_model_is_given_few_frames_however_it_likes_batches(triton: RunningTriton) -> None:
    async with engine_at(triton.grpc) as (engine, seen):
        await eventually(lambda: seen.endpoints.get(triton.grpc))
        await asyncio.sleep(1)
        await engine.infer(Task.POSE, FRAME)
        await eventually(lambda: seen.batches)
        assert engine.in_flight == InFlight(4, 1)


@pytest.mark.parametrize("prefers_batches", [False, True])
async def test_a_fast_model_is_given_many_frames_where_it_prefers_batches(
    triton_binary: Path,
    tiny_models: Path,
    tmp_path: Path,
    prefers_batches: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_tiny_repository(tmp_path, tiny_models, pose_seconds=0.005 if prefers_batches else None)
    async with (
        triton_server(triton_binary, tmp_path, TritonPorts.free()) as running,
        engine_at(running.grpc) as (engine, seen),
    ):
        while (Task.POSE, 1) not in seen.batches:
            await engine.infer(Task.POSE, FRAME)
            await asyncio.sleep(0.05)
        assert engine.in_flight == (InFlight(32, 2) if prefers_batches else InFlight(4, 1))
        monkeypatch.setattr("inference.engines.triton._RUN_COUNTS_S", 0.0)
        assert engine.in_flight == InFlight(4, 1), "a run of long ago says nothing"


async def test_a_triton_that_is_not_there_is_a_trouble_and_no_end() -> None:
    nobody = f"127.0.0.1:{TritonPorts.free().grpc}"
    async with engine_at(nobody, deadline_s=1.0, ready=False) as (engine, seen):
        await eventually(lambda: seen.endpoints.get(nobody) is False)
        assert nobody in (engine.trouble or "")
        with pytest.raises((EngineUnavailable, DeadlineMissed)):
            await engine.infer(Task.DETECT, FRAME)


async def test_the_other_triton_takes_over(triton: RunningTriton) -> None:
    nobody = f"127.0.0.1:{TritonPorts.free().grpc}"
    async with engine_at(nobody, triton.grpc) as (engine, seen):
        for _ in range(4):
            await engine.infer(Task.DETECT, FRAME)
        await eventually(lambda: seen.endpoints == {nobody: False, triton.grpc: True})
        assert engine.trouble is None


async def test_results_resume_when_a_killed_triton_is_back(
    triton_binary: Path, repository: Path, http_port: int
) -> None:
    ports = TritonPorts.free()
    async with contextlib.AsyncExitStack() as stack:
        triton = await stack.enter_async_context(triton_server(triton_binary, repository, ports))
        engine, _ = await stack.enter_async_context(
            engine_at(triton.grpc, http_port=http_port and ports.http)
        )
        os.killpg(triton.process.pid, signal.SIGKILL)
        await eventually(lambda: engine.trouble)
        with pytest.raises(EngineUnavailable):
            await engine.infer(Task.DETECT, FRAME)
        await stack.enter_async_context(triton_server(triton_binary, repository, ports))
        await eventually(lambda: engine.trouble is None)
        assert len(await engine.infer(Task.DETECT, FRAME)) == 1
        assert len(await shared_memory(triton)) == 1


async def test_frames_go_through_memory_again_after_a_stall(triton: RunningTriton, http_port: int) -> None:
    """A request still reads the old memory when Triton wakes up, which therefore cannot be given back yet."""
    others = set(await shared_memory(triton))
    async with engine_at(triton.grpc, http_port=http_port, deadline_s=1.0) as (engine, _):
        [before] = set(await shared_memory(triton)) - others
        reading = asyncio.create_task(engine.infer(Task.POSE, FRAME))
        await asyncio.sleep(SLOW_S / 3)
        os.kill(triton.process.pid, signal.SIGSTOP)
        try:
            with pytest.raises(DeadlineMissed):
                await reading
            waiting = [asyncio.create_task(engine.infer(Task.POSE, FRAME)) for _ in range(8)]
            await eventually(lambda: engine.trouble)
        finally:
            os.kill(triton.process.pid, signal.SIGCONT)
        await asyncio.gather(*waiting, return_exceptions=True)
        await eventually(lambda: engine.trouble is None)
        assert len(await engine.infer(Task.DETECT, FRAME)) == 1
        deadline = time.monotonic() + 10
        while before in (regions := set(await shared_memory(triton)) - others) or len(regions) != 1:
            assert time.monotonic() < deadline, f"open are {regions}"
            await asyncio.sleep(0.1)
    assert set(await shared_memory(triton)) <= others


async def test_closing_ends_what_is_under_way_with_an_error_of_ours(
    triton: RunningTriton, http_port: int
) -> None:
    async with engine_at(triton.grpc, http_port=http_port) as (engine, _):
        waiting = asyncio.create_task(engine.infer(Task.POSE, FRAME))
        await asyncio.sleep(SLOW_S / 3)
        await engine.close()
        with pytest.raises(EngineUnavailable):
            await waiting


async def test_a_closed_engine_says_so_and_can_be_closed_again(triton: RunningTriton) -> None:
    async with engine_at(triton.grpc) as (engine, _):
        await engine.close()
        with pytest.raises(EngineUnavailable, match="closed"):
            await engine.infer(Task.DETECT, FRAME)
