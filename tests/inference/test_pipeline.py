from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inference.catalogue import find_models
from inference.engines.contract import Head, Task
from inference.engines.embedded import EmbeddedEngine
from inference.letterbox import Letterbox
from inference.load_shedding import Concession
from inference.ocr.turns import shared_turns
from inference.pipeline import Pipeline, PipelineOptions, TextsFound
from inference.stages import Stage
from tests.support.clips import picture, truth
from tests.support.frames import frame_of
from tests.support.slow_engine import SlowEngine
from tests.support.tiny_models import KEYPOINTS
from tests.support.waiting import eventually

DEFAULTS = PipelineOptions()


async def ignore(found: TextsFound) -> None:
    pass


# --- objects and persons ------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(640, 480), (320, 240), (1280, 720), (480, 640), (1000, 300)])
async def test_everything_comes_back_in_coordinates_of_the_frame_that_was_sent(
    engine: EmbeddedEngine, executor: Executor, size: tuple[int, int]
) -> None:
    result = await Pipeline(engine, DEFAULTS, executor, shared_turns()).infer(
        frame_of(picture(0.3, size)), ignore
    )

    assert result.detections is not None
    assert result.poses is not None
    (red,), (green,) = result.detections, result.poses
    canvas = Letterbox.fit(*size)
    a_pixel = 1.5 / min(canvas.width, canvas.height)
    assert red.label == "red"
    assert red.box == pytest.approx(truth(0.3)["red"], abs=a_pixel)
    assert green.box == pytest.approx(truth(0.3)["green"], abs=a_pixel)
    x, y, width, height = green.box
    assert len(green.keypoints) == 17
    across, down = KEYPOINTS[0]
    nose = (x + across * width, y + down * height, green.score)
    assert green.keypoints[0] == pytest.approx(nose, abs=0.01)


@pytest.mark.parametrize("size", [(640, 480), (480, 640), (1000, 300)])
async def test_outlines_come_back_in_coordinates_of_the_frame_that_was_sent(
    engine: EmbeddedEngine, executor: Executor, size: tuple[int, int]
) -> None:
    options = PipelineOptions(detect=False, pose=False, segment=True)
    result = await Pipeline(engine, options, executor, shared_turns()).infer(
        frame_of(picture(0.3, size)), ignore
    )

    assert (result.detections, result.poses) == (None, None)
    assert result.segments is not None
    outlines = {item.label: item for item in result.segments}
    canvas = Letterbox.fit(*size)
    pixels = 2.5 / min(canvas.width, canvas.height)
    for label, colour in (("red", "red"), ("person", "green")):
        x, y, width, height = truth(0.3)[colour]
        assert outlines[label].box == pytest.approx((x, y, width, height), abs=pixels)
        across, down = zip(*outlines[label].polygon, strict=True)
        assert (min(across), min(down)) == pytest.approx((x, y), abs=pixels)
        assert (max(across), max(down)) == pytest.approx((x + width, y + height), abs=pixels)


async def test_a_thing_has_one_id_in_all_stages_that_find_it(
    engine: EmbeddedEngine, executor: Executor
) -> None:
    pipeline = Pipeline(engine, PipelineOptions(segment=True), executor, shared_turns())
    for number in range(3):
        result = await pipeline.infer(frame_of(picture(number / 10), number / 10), ignore)
        assert result.detections is not None
        assert result.poses is not None
        assert result.segments is not None
        ids = {item.label: item.id for item in result.segments}
        assert ids == {"red": result.detections[0].id, "person": result.poses[0].id}
    assert result.timing_ms.keys() == {"detect", "pose", "segment"}


async def test_ids_stay_while_objects_move_and_are_never_shared(
    engine: EmbeddedEngine, executor: Executor
) -> None:
    pipeline = Pipeline(engine, DEFAULTS, executor, shared_turns())
    ids = set()
    for number in range(20):
        time_s = number / 10
        result = await pipeline.infer(frame_of(picture(time_s, (320, 240)), time_s), ignore)
        assert result.detections is not None
        assert result.poses is not None
        ids.add((result.detections[0].id, result.poses[0].id))
    assert len(ids) == 1
    assert len(set(ids.pop())) == 2


async def test_pipelines_that_share_an_engine_get_their_own_results(
    engine: EmbeddedEngine, executor: Executor
) -> None:
    times = [0.1 * number for number in range(10)]
    results = await asyncio.gather(
        *(
            Pipeline(engine, DEFAULTS, executor, shared_turns()).infer(frame_of(picture(time_s)), ignore)
            for time_s in times
        )
    )
    for time_s, result in zip(times, results, strict=True):
        assert result.detections is not None
        assert result.detections[0].box == pytest.approx(truth(time_s)["red"], abs=0.01)


# --- stages -------------------------------------------------------------------------------------------


async def test_a_stage_that_is_off_gives_none_and_one_that_finds_nothing_gives_an_empty_tuple(
    engine: EmbeddedEngine, executor: Executor
) -> None:
    nothing = frame_of(np.full((480, 640, 3), 128, np.uint8))
    pipeline = Pipeline(engine, PipelineOptions(pose=False), executor, shared_turns())

    result = await pipeline.infer(nothing, ignore)

    assert (result.detections, result.poses, result.segments) == ((), None, None)
    assert (result.texts, result.motion) == (None, None)
    assert set(result.timing_ms) == {"detect"}
    assert result.failures == {}


async def test_frames_under_way_together_give_their_results_in_order(
    engine: EmbeddedEngine, executor: Executor
) -> None:
    first_may_go = asyncio.Event()

    class FirstIsLast(SlowEngine):
        """Answers the first frame when it may go, the others at once."""

        calls = 0

        async def infer(self, task: Task, images: np.ndarray) -> Head:
            self.calls += 1
            if self.calls == 1:
                await first_may_go.wait()
            return await engine.infer(task, images)

    slow = FirstIsLast(engine, delay_s=0)
    pipeline = Pipeline(slow, PipelineOptions(pose=False, flow=True), executor, shared_turns())
    frames = [
        asyncio.create_task(pipeline.infer(frame_of(picture(time_s), time_s), ignore))
        for time_s in (0.0, 0.1, 0.2)
    ]
    await eventually(lambda: slow.calls == 3)
    await asyncio.sleep(0.1)
    assert not any(task.done() for task in frames)
    first_may_go.set()
    results = [await task for task in frames]
    ids = {item.id for result in results for item in result.detections or ()}
    assert len(ids) == 1
    for time_s, result in zip((0.0, 0.1, 0.2), results, strict=True):
        assert result.detections is not None
        assert result.detections[0].box == pytest.approx(truth(time_s)["red"], abs=0.01)


async def test_a_frame_that_is_cancelled_neither_blocks_the_next_nor_lets_it_overtake(
    engine: EmbeddedEngine, executor: Executor
) -> None:
    gates = [asyncio.Event() for _ in range(3)]

    class Gated(SlowEngine):
        """Answers each frame when it may go."""

        calls = 0

        async def infer(self, task: Task, images: np.ndarray) -> Head:
            gate = gates[self.calls]
            self.calls += 1
            await gate.wait()
            return await engine.infer(task, images)

    pipeline = Pipeline(
        Gated(engine, delay_s=0), PipelineOptions(pose=False, flow=True), executor, shared_turns()
    )
    first, second, third = (
        asyncio.create_task(pipeline.infer(frame_of(picture(time_s), time_s), ignore))
        for time_s in (0.0, 0.1, 0.2)
    )
    gates[2].set()
    await asyncio.sleep(0.05)
    second.cancel()
    await asyncio.wait([second])
    await asyncio.sleep(0.05)
    assert not third.done()
    gates[0].set()
    (one,) = (await first).detections or ()
    (other,) = (await third).detections or ()
    assert one.id == other.id


async def test_a_head_that_cannot_be_read_fails_its_stage_only(
    engine: EmbeddedEngine, executor: Executor
) -> None:
    class OtherHead(SlowEngine):
        """Its detector is not what its description says."""

        async def infer(self, task: Task, images: np.ndarray) -> Head:
            (head,) = await engine.infer(task, images)
            return (head[:, :3] if task is Task.DETECT else head,)

    result = await Pipeline(OtherHead(engine, delay_s=0), DEFAULTS, executor, shared_turns()).infer(
        frame_of(picture(0.0)), ignore
    )
    assert result.detections is None
    assert set(result.failures) == {"detect"}
    assert result.poses


async def test_new_options_hold_from_the_next_frame(engine: EmbeddedEngine, executor: Executor) -> None:
    pipeline = Pipeline(engine, DEFAULTS, executor, shared_turns())
    assert (await pipeline.infer(frame_of(picture(0)), ignore)).poses
    pipeline.configure(PipelineOptions(pose=False, flow=True, detect_threshold=1.0))
    result = await pipeline.infer(frame_of(picture(0.1), 0.1), ignore)
    assert result.poses is None
    assert set(result.timing_ms) == {"detect", "flow"}


@pytest.mark.parametrize("flow", [False, True])
async def test_an_object_has_its_velocity_from_the_second_sighting_on(
    engine: EmbeddedEngine, executor: Executor, flow: bool
) -> None:
    pipeline = Pipeline(engine, PipelineOptions(flow=flow), executor, shared_turns())
    velocities = []
    for number in range(6):
        result = await pipeline.infer(frame_of(picture(number / 10), number / 10), ignore)
        assert result.detections is not None
        velocities.append(result.detections[0].velocity)
    assert velocities[0] is None
    true = [10 * (truth(0.5)["red"][axis] - truth(0.4)["red"][axis]) for axis in (0, 1)]
    second, last = velocities[1], velocities[-1]
    assert second is not None
    assert 0.5 * true[0] < second[0] < 1.5 * true[0]
    assert last == pytest.approx(true, abs=0.2 * abs(true[0]))
    if flow:
        assert result.motion is not None
        assert result.motion.magnitude < 0.01, "most of the picture stands still"


async def test_what_is_tracked_may_score_less_by_the_hysteresis(
    engine: EmbeddedEngine, executor: Executor
) -> None:
    first = await Pipeline(engine, DEFAULTS, executor, shared_turns()).infer(frame_of(picture(0.0)), ignore)
    assert first.detections is not None
    above = first.detections[0].score + 0.02
    found = {}
    for hysteresis in (0.0, 0.1):
        pipeline = Pipeline(engine, DEFAULTS, executor, shared_turns())
        await pipeline.infer(frame_of(picture(0.0)), ignore)
        pipeline.configure(PipelineOptions(detect_threshold=above, hysteresis=hysteresis))
        result = await pipeline.infer(frame_of(picture(0.1), 0.1), ignore)
        found[hysteresis] = [item.id for item in result.detections or ()]
    assert found == {0.0: [], 0.1: [first.detections[0].id]}
    strict = PipelineOptions(detect_threshold=above, hysteresis=0.1)
    fresh = await Pipeline(engine, strict, executor, shared_turns()).infer(frame_of(picture(0.0)), ignore)
    assert fresh.detections == (), "it is no reason to begin a track"


async def test_what_gives_way_is_not_run(engine: EmbeddedEngine, executor: Executor) -> None:
    pipeline = Pipeline(engine, PipelineOptions(flow=True, segment=True), executor, shared_turns())
    pipeline.concede(
        Concession(paused=frozenset({Stage.FLOW}), halved=frozenset({Stage.POSE, Stage.SEGMENT}))
    )
    results = [
        await pipeline.infer(frame_of(picture(0.1 * number), 0.1 * number), ignore) for number in range(4)
    ]
    assert [result.detections is not None for result in results] == [True] * 4
    assert [result.poses is not None for result in results] == [False, True, False, True]
    assert [result.segments is not None for result in results] == [True, False, True, False], "in turns"
    assert all(result.motion is None and "flow" not in result.timing_ms for result in results)
    # Whatever is asked for meanwhile, and all again afterwards.
    pipeline.configure(PipelineOptions(flow=True, segment=True, detect_threshold=0.4))
    assert (await pipeline.infer(frame_of(picture(0.4), 0.4), ignore)).motion is None
    pipeline.concede(Concession())
    for time_s in (0.5, 0.6):
        result = await pipeline.infer(frame_of(picture(time_s), time_s), ignore)
    assert None not in (result.motion, result.poses, result.segments)


async def test_a_stage_that_fails_is_named_and_the_others_go_on(
    tiny_models: Path, executor: Executor
) -> None:
    engine = await EmbeddedEngine.open({Task.DETECT: find_models(tiny_models)[Task.DETECT]})
    result = await Pipeline(engine, DEFAULTS, executor, shared_turns()).infer(frame_of(picture(0)), ignore)
    await engine.close()

    assert result.poses is None
    assert result.failures == {"pose": "no model for pose"}
    assert result.detections is not None
    assert len(result.detections) == 1


class SlowThreads(ThreadPoolExecutor):
    """Each job takes 50 ms longer; names the threads that work."""

    def __init__(self) -> None:
        super().__init__(4)
        self.working: set[int] = set()

    def submit(self, work: Any, /, *arguments: Any, **keywords: Any) -> Future[Any]:
        def slowly() -> Any:
            self.working.add(threading.get_ident())
            time.sleep(0.05)
            self.working.discard(threading.get_ident())
            return work(*arguments, **keywords)

        return super().submit(slowly)


async def test_when_it_is_cancelled_no_thread_works_on(engine: EmbeddedEngine) -> None:
    with SlowThreads() as executor:
        inferring = asyncio.create_task(
            Pipeline(engine, PipelineOptions(flow=True), executor, shared_turns()).infer(
                frame_of(picture(0.0)), ignore
            )
        )
        await eventually(lambda: executor.working)
        inferring.cancel()
        await asyncio.wait([inferring])
        assert inferring.cancelled()
        assert executor.working == set()
