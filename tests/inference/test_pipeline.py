from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from inference.catalogue import find_models
from inference.engines.contract import Task
from inference.engines.embedded import EmbeddedEngine
from inference.letterbox import Letterbox
from inference.ocr.trigger import OcrReason
from inference.pipeline import Pipeline, PipelineOptions, TextsFound
from inference.types import Floats, Image
from tests.support.clips import picture, truth
from tests.support.frames import frame_of
from tests.support.slow_engine import SlowEngine
from tests.support.tiny_models import KEYPOINTS
from tests.support.waiting import eventually

NO_OCR = PipelineOptions()


@pytest.fixture
async def engine(tiny_models: Path) -> AsyncIterator[EmbeddedEngine]:
    """Red and blue objects, green persons, and real OCR."""
    engine = await EmbeddedEngine.open(find_models(tiny_models))
    yield engine
    await engine.close()


@pytest.fixture
def executor() -> Iterator[Executor]:
    with ThreadPoolExecutor(2, "vision") as executor:
        yield executor


def sign(*lines: str) -> Image:
    """640×480, black letters on white."""
    image = np.full((480, 640, 3), 255, np.uint8)
    for row, line in enumerate(lines):
        cv2.putText(image, line, (40, 150 + 120 * row), cv2.FONT_HERSHEY_SIMPLEX, 2.5, (0, 0, 0), 6)
    return image


class Texts:
    """Takes what OCR finds."""

    def __init__(self) -> None:
        self.found: list[TextsFound] = []

    async def __call__(self, found: TextsFound) -> None:
        self.found.append(found)


async def ignore(found: TextsFound) -> None:
    pass


# --- objects and persons ------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(640, 480), (320, 240), (1280, 720), (480, 640), (1000, 300)])
async def test_everything_comes_back_in_coordinates_of_the_frame_that_was_sent(
    engine: EmbeddedEngine, executor: Executor, size: tuple[int, int]
) -> None:
    result = await Pipeline(engine, NO_OCR, executor).infer(frame_of(picture(0.3, size)), ignore)

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


@pytest.mark.parametrize("size", [(1, 1), (4096, 16), (3, 2000)])
async def test_any_shape_of_picture_goes_through_every_stage(
    engine: EmbeddedEngine, executor: Executor, size: tuple[int, int]
) -> None:
    pipeline, texts = Pipeline(engine, PipelineOptions(ocr=True, flow=True), executor), Texts()
    image = np.full((size[1], size[0], 3), 90, np.uint8)
    pipeline.request_ocr()
    await pipeline.infer(frame_of(image), texts)
    result = await pipeline.infer(frame_of(image, 0.1), texts)
    assert (result.detections, result.poses, result.failures) == ((), (), {})
    assert result.motion is not None
    await eventually(lambda: texts.found)
    assert texts.found[0].texts == ()


async def test_ids_stay_while_objects_move_and_are_never_shared(
    engine: EmbeddedEngine, executor: Executor
) -> None:
    pipeline = Pipeline(engine, NO_OCR, executor)
    ids = set()
    for number in range(20):
        time_s = number / 10
        result = await pipeline.infer(frame_of(picture(time_s, (320, 240)), time_s), ignore)
        assert result.detections is not None
        assert result.poses is not None
        ids.add((result.detections[0].track_id, result.poses[0].track_id))
    assert len(ids) == 1
    assert len(set(ids.pop())) == 2


async def test_pipelines_that_share_an_engine_get_their_own_results(
    engine: EmbeddedEngine, executor: Executor
) -> None:
    times = [0.1 * number for number in range(10)]
    results = await asyncio.gather(
        *(Pipeline(engine, NO_OCR, executor).infer(frame_of(picture(time_s)), ignore) for time_s in times)
    )
    for time_s, result in zip(times, results, strict=True):
        assert result.detections is not None
        assert result.detections[0].box == pytest.approx(truth(time_s)["red"], abs=0.01)


# --- stages -------------------------------------------------------------------------------------------


async def test_a_stage_that_is_off_gives_none_and_one_that_finds_nothing_gives_an_empty_tuple(
    engine: EmbeddedEngine, executor: Executor
) -> None:
    nothing = frame_of(np.full((480, 640, 3), 128, np.uint8))
    pipeline = Pipeline(engine, PipelineOptions(pose=False), executor)

    result = await pipeline.infer(nothing, ignore)

    assert (result.detections, result.poses, result.texts, result.motion) == ((), None, None, None)
    assert set(result.timing_ms) == {"detect"}
    assert result.failures == {}


async def test_frames_under_way_together_give_their_results_in_order(
    engine: EmbeddedEngine, executor: Executor
) -> None:
    first_may_go = asyncio.Event()

    class FirstIsLast(SlowEngine):
        """Answers the first frame when it may go, the others at once."""

        calls = 0

        async def infer(self, task: Task, images: np.ndarray) -> np.ndarray:
            self.calls += 1
            if self.calls == 1:
                await first_may_go.wait()
            return await engine.infer(task, images)

    slow = FirstIsLast(engine, delay_s=0)
    pipeline = Pipeline(slow, PipelineOptions(pose=False, flow=True), executor)
    frames = [
        asyncio.create_task(pipeline.infer(frame_of(picture(time_s), time_s), ignore))
        for time_s in (0.0, 0.1, 0.2)
    ]
    await eventually(lambda: slow.calls == 3)
    await asyncio.sleep(0.1)
    assert not any(task.done() for task in frames)
    first_may_go.set()
    results = [await task for task in frames]
    ids = {item.track_id for result in results for item in result.detections or ()}
    assert len(ids) == 1
    for time_s, result in zip((0.0, 0.1, 0.2), results, strict=True):
        assert result.detections is not None
        assert result.detections[0].box == pytest.approx(truth(time_s)["red"], abs=0.01)


async def test_a_head_that_cannot_be_read_fails_its_stage_only(
    engine: EmbeddedEngine, executor: Executor
) -> None:
    class OtherHead(SlowEngine):
        """Its detector is not what its description says."""

        async def infer(self, task: Task, images: np.ndarray) -> np.ndarray:
            head = await engine.infer(task, images)
            return head[:, :3] if task is Task.DETECT else head

    result = await Pipeline(OtherHead(engine, delay_s=0), NO_OCR, executor).infer(
        frame_of(picture(0.0)), ignore
    )
    assert result.detections is None
    assert set(result.failures) == {"detect"}
    assert result.poses


async def test_new_options_hold_from_the_next_frame(engine: EmbeddedEngine, executor: Executor) -> None:
    pipeline = Pipeline(engine, NO_OCR, executor)
    assert (await pipeline.infer(frame_of(picture(0)), ignore)).poses
    pipeline.configure(PipelineOptions(pose=False, flow=True, detect_threshold=1.0))
    result = await pipeline.infer(frame_of(picture(0.1), 0.1), ignore)
    assert result.poses is None
    assert set(result.timing_ms) == {"detect", "flow"}


async def test_flow_gives_each_object_its_velocity(engine: EmbeddedEngine, executor: Executor) -> None:
    pipeline = Pipeline(engine, PipelineOptions(flow=True), executor)
    for time_s in (0.0, 1 / 30):
        result = await pipeline.infer(frame_of(picture(time_s), time_s), ignore)
    assert result.detections is not None
    assert result.motion is not None
    velocity = result.detections[0].velocity
    assert velocity is not None
    # Flow sees edges only, so the median inside of a plain square is smaller than its speed.
    assert 0.05 < velocity[0] < 30 * (truth(1 / 30)["red"][0] - truth(0)["red"][0]) + 0.05
    assert velocity[1] == pytest.approx(0, abs=0.02)
    assert result.motion.magnitude < 0.01, "most of the picture stands still"


async def test_a_stage_that_fails_is_named_and_the_others_go_on(
    tiny_models: Path, executor: Executor
) -> None:
    engine = await EmbeddedEngine.open({Task.DETECT: find_models(tiny_models)[Task.DETECT]})
    result = await Pipeline(engine, NO_OCR, executor).infer(frame_of(picture(0)), ignore)
    await engine.close()

    assert result.poses is None
    assert result.failures == {"pose": "no model for pose"}
    assert result.detections is not None
    assert len(result.detections) == 1


async def test_a_closed_engine_fails_every_stage_and_raises_nothing(
    engine: EmbeddedEngine, executor: Executor
) -> None:
    pipeline = Pipeline(engine, PipelineOptions(ocr=True), executor)
    pipeline.request_ocr()
    await pipeline.infer(frame_of(sign("LAST")), ignore)
    await engine.close()

    failures: dict[str, str] = {}
    while "ocr" not in failures:  # it ends beside the frames
        failures = (await pipeline.infer(frame_of(sign("LAST")), ignore)).failures
    assert set(failures) == {"detect", "pose", "ocr"}


class StrangeOcr(SlowEngine):
    """An engine one of whose OCR models gives a head that its description does not promise."""

    def __init__(self, engine: EmbeddedEngine, task: Task, head: tuple[int, ...]) -> None:
        super().__init__(engine, 0.0)
        self._task = task
        self._head = head

    async def infer(self, task: Task, images: NDArray[np.uint8]) -> Floats:
        if task is not self._task:
            return await super().infer(task, images)
        head = np.zeros((len(images), *self._head), np.float32)
        head[..., -1] = 1.0
        return head


@pytest.mark.parametrize(
    ("task", "head"), [(Task.OCR_DET, (4,)), (Task.OCR_DET, (1, 7)), (Task.OCR_REC, (4, 50_000))]
)
async def test_an_ocr_model_whose_output_cannot_be_read_fails_ocr_and_nothing_else(
    engine: EmbeddedEngine, executor: Executor, task: Task, head: tuple[int, ...]
) -> None:
    pipeline, texts = Pipeline(StrangeOcr(engine, task, head), NO_OCR, executor), Texts()
    pipeline.request_ocr()
    failures: dict[str, str] = {}
    async with asyncio.timeout(10):
        while not failures:
            failures = (await pipeline.infer(frame_of(sign("EXIT")), texts)).failures
    assert failures.keys() == {"ocr"}
    assert failures["ocr"].startswith("the model's output cannot be read: ")
    assert texts.found == []


# --- OCR ----------------------------------------------------------------------------------------------


async def test_text_is_read_once_and_comes_as_event_and_in_the_next_result(
    engine: EmbeddedEngine, executor: Executor
) -> None:
    pipeline, texts = Pipeline(engine, NO_OCR, executor), Texts()
    shown = frame_of(sign("EXIT", "GATE 12"))
    pipeline.request_ocr()

    assert (await pipeline.infer(shown, texts)).texts is None
    await eventually(lambda: texts.found)
    result = await pipeline.infer(frame_of(sign("LATER"), 0.1), texts)

    (found,) = texts.found
    assert found.frame is shown
    assert found.reason is OcrReason.TRIGGER
    assert [text.text for text in found.texts] == ["EXIT", "GATE 12"]
    assert result.texts == found.texts
    assert (await pipeline.infer(frame_of(sign("LATER"), 0.2), texts)).texts is None
    assert len(texts.found) == 1


async def test_an_object_that_appears_starts_ocr(engine: EmbeddedEngine, executor: Executor) -> None:
    options = PipelineOptions(ocr=True, ocr_labels=frozenset({"red"}), ocr_on_settle=False)
    pipeline, texts = Pipeline(engine, options, executor), Texts()
    await pipeline.infer(frame_of(sign("NOT THIS")), texts)
    await pipeline.infer(frame_of(picture(0), 0.1), texts)
    await eventually(lambda: texts.found)
    assert [found.reason for found in texts.found] == [OcrReason.LABEL]
    await pipeline.stop()


async def test_frames_do_not_wait_for_ocr_and_one_runs_at_a_time(
    engine: EmbeddedEngine, executor: Executor
) -> None:
    class SlowOcr(SlowEngine):
        """Slow for OCR only."""

        async def infer(self, task: Task, images: np.ndarray) -> np.ndarray:
            if task in (Task.OCR_DET, Task.OCR_REC):
                return await super().infer(task, images)
            return await engine.infer(task, images)

    options = PipelineOptions(ocr=True, ocr_on_settle=False, ocr_min_interval_s=0.0)
    pipeline, texts = Pipeline(SlowOcr(engine, delay_s=0.5), options, executor), Texts()
    frames_meanwhile = 0
    while not texts.found:
        pipeline.request_ocr()
        await pipeline.infer(frame_of(sign("SLOW")), texts)
        frames_meanwhile += 1
    assert frames_meanwhile > 3
    assert len(texts.found) == 1
    await pipeline.stop()


async def test_after_a_stop_the_pipeline_goes_on(engine: EmbeddedEngine, executor: Executor) -> None:
    options = PipelineOptions(ocr_min_interval_s=0.0)
    pipeline, texts = Pipeline(engine, options, executor), Texts()
    pipeline.request_ocr()
    await pipeline.infer(frame_of(sign("ONE")), texts)
    await pipeline.stop()  # before the OCR task took its first step
    await pipeline.stop()
    assert texts.found == []

    pipeline.request_ocr()
    await pipeline.infer(frame_of(sign("TWO")), texts)
    await eventually(lambda: texts.found)
    assert [text.text for text in texts.found[0].texts] == ["TWO"]


async def test_an_error_of_the_receiver_of_texts_is_raised_by_the_next_frame(
    engine: EmbeddedEngine, executor: Executor
) -> None:
    told = asyncio.Event()

    async def gone(found: TextsFound) -> None:
        told.set()
        raise ConnectionResetError

    pipeline = Pipeline(engine, NO_OCR, executor)
    pipeline.request_ocr()
    await pipeline.infer(frame_of(sign("EXIT")), gone)
    await told.wait()
    with pytest.raises(ConnectionResetError):
        await pipeline.infer(frame_of(sign("EXIT")), gone)


async def test_without_ocr_models_a_request_does_nothing(tiny_models: Path, executor: Executor) -> None:
    files = find_models(tiny_models)
    engine = await EmbeddedEngine.open({task: files[task] for task in (Task.DETECT, Task.POSE)})
    pipeline, texts = Pipeline(engine, PipelineOptions(ocr=True), executor), Texts()
    pipeline.request_ocr()
    result = await pipeline.infer(frame_of(sign("EXIT")), texts)
    await engine.close()
    assert result.failures == {}
    assert result.texts is None


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
            Pipeline(engine, PipelineOptions(flow=True), executor).infer(frame_of(picture(0.0)), ignore)
        )
        await eventually(lambda: executor.working)
        inferring.cancel()
        await asyncio.wait([inferring])
        assert inferring.cancelled()
        assert executor.working == set()
