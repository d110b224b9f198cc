"""``inference/pipeline.py``: OCR beside the frames."""

from __future__ import annotations

import asyncio
import weakref
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from inference.catalogue import find_models
from inference.engines.contract import Head, Task
from inference.engines.embedded import EmbeddedEngine
from inference.ocr.trigger import OcrReason
from inference.ocr.turns import OcrTurns, shared_turns
from inference.pipeline import Pipeline, PipelineOptions, TextsFound
from inference.types import Image
from tests.support.clips import picture
from tests.support.frames import frame_of
from tests.support.slow_engine import SlowEngine
from tests.support.waiting import eventually

NO_OCR = PipelineOptions()


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


@pytest.mark.parametrize("size", [(1, 1), (4096, 16), (3, 2000)])
async def test_any_shape_of_picture_goes_through_every_stage(
    engine: EmbeddedEngine, executor: Executor, size: tuple[int, int]
) -> None:
    pipeline, texts = (
        Pipeline(engine, PipelineOptions(ocr=True, flow=True), executor, shared_turns()),
        Texts(),
    )
    image = np.full((size[1], size[0], 3), 90, np.uint8)
    pipeline.request_ocr()
    await pipeline.infer(frame_of(image), texts)
    result = await pipeline.infer(frame_of(image, 0.1), texts)
    assert (result.detections, result.poses, result.failures) == ((), (), {})
    assert result.motion is None, "nothing is to be seen that could move"
    await eventually(lambda: texts.found)
    assert texts.found[0].texts == ()


async def test_a_closed_engine_fails_every_stage_and_raises_nothing(
    engine: EmbeddedEngine, executor: Executor
) -> None:
    pipeline = Pipeline(engine, PipelineOptions(ocr=True), executor, shared_turns())
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

    async def infer(self, task: Task, images: NDArray[np.uint8]) -> Head:
        if task is not self._task:
            return await super().infer(task, images)
        head = np.zeros((len(images), *self._head), np.float32)
        head[..., -1] = 1.0
        return (head,)


@pytest.mark.parametrize(
    ("task", "head"), [(Task.OCR_DET, (4,)), (Task.OCR_DET, (1, 7)), (Task.OCR_REC, (4, 50_000))]
)
async def test_an_ocr_model_whose_output_cannot_be_read_fails_ocr_and_nothing_else(
    engine: EmbeddedEngine, executor: Executor, task: Task, head: tuple[int, ...]
) -> None:
    pipeline, texts = Pipeline(StrangeOcr(engine, task, head), NO_OCR, executor, shared_turns()), Texts()
    pipeline.request_ocr()
    failures: dict[str, str] = {}
    async with asyncio.timeout(10):
        while not failures:
            failures = (await pipeline.infer(frame_of(sign("EXIT")), texts)).failures
    assert failures.keys() == {"ocr"}
    assert failures["ocr"].startswith("the model's output cannot be read: ")
    assert texts.found == []


async def test_text_is_read_once_and_comes_as_event_and_in_the_next_result(
    engine: EmbeddedEngine, executor: Executor
) -> None:
    pipeline, texts = Pipeline(engine, NO_OCR, executor, shared_turns()), Texts()
    shown = frame_of(sign("EXIT", "GATE 12"))
    pipeline.request_ocr()

    assert (await pipeline.infer(shown, texts)).texts is None
    await eventually(lambda: texts.found)
    result = await pipeline.infer(frame_of(sign("LATER"), 0.1), texts)

    (found,) = texts.found
    assert found.identity == shown.identity
    assert found.reason is OcrReason.TRIGGER
    assert [text.text for text in found.texts] == ["EXIT", "GATE 12"]
    assert result.texts == found.texts
    assert (await pipeline.infer(frame_of(sign("LATER"), 0.2), texts)).texts is None
    assert len(texts.found) == 1


async def test_a_text_is_followed_under_its_id_until_its_sign_is_gone(
    engine: EmbeddedEngine, executor: Executor
) -> None:
    pipeline, texts = Pipeline(engine, NO_OCR, executor, shared_turns()), Texts()
    shown = sign("EXIT")
    pipeline.request_ocr()
    assert (await pipeline.infer(frame_of(shown), texts)).followed_texts is None, "nothing was read yet"
    await eventually(lambda: texts.found)
    (read,) = texts.found[0].texts
    for number in range(1, 5):
        moved = np.roll(shown, 20 * number, axis=1)
        result = await pipeline.infer(frame_of(moved, number / 10), texts)
        (followed,) = result.followed_texts or ()
        assert (followed.id, followed.text) == (read.id, "EXIT")
        assert followed.quad[0][0] == pytest.approx(read.quad[0][0] + 20 * number / 640, abs=0.01)
    result = await pipeline.infer(frame_of(np.full_like(shown, 255), 0.5), texts)
    assert result.followed_texts == ()


async def test_an_object_that_appears_starts_ocr(engine: EmbeddedEngine, executor: Executor) -> None:
    options = PipelineOptions(ocr=True, ocr_labels=frozenset({"red"}), ocr_on_settle=False)
    pipeline, texts = Pipeline(engine, options, executor, shared_turns()), Texts()
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

        async def infer(self, task: Task, images: np.ndarray) -> Head:
            if task in (Task.OCR_DET, Task.OCR_REC):
                return await super().infer(task, images)
            return await engine.infer(task, images)

    options = PipelineOptions(ocr=True, ocr_on_settle=False, ocr_min_interval_s=0.0)
    pipeline, texts = Pipeline(SlowOcr(engine, delay_s=0.5), options, executor, shared_turns()), Texts()
    frames_meanwhile = 0
    while not texts.found:
        pipeline.request_ocr()
        await pipeline.infer(frame_of(sign("SLOW")), texts)
        frames_meanwhile += 1
    assert frames_meanwhile > 3
    assert len(texts.found) == 1
    await pipeline.stop()


async def test_what_waits_for_its_turn_is_the_newest_frame(
    engine: EmbeddedEngine, executor: Executor
) -> None:
    shared = shared_turns()
    pipeline, texts = Pipeline(engine, NO_OCR, executor, shared), Texts()
    async with OcrTurns(shared).turn(), OcrTurns(shared).turn():
        pipeline.request_ocr()
        await pipeline.infer(frame_of(sign("OLD")), texts)
        await pipeline.infer(frame_of(sign("NEW"), 0.1), texts)
        assert texts.found == []
    await eventually(lambda: texts.found)
    await pipeline.infer(frame_of(sign("LATE"), 0.2), texts)
    assert [text.text for found in texts.found for text in found.texts] == ["NEW"]


async def test_a_reason_that_is_withdrawn_before_its_turn_starts_nothing(
    engine: EmbeddedEngine, executor: Executor
) -> None:
    shared, wanted = shared_turns(), PipelineOptions(ocr=True, ocr_labels=frozenset({"red"}))
    pipeline, texts = Pipeline(engine, wanted, executor, shared), Texts()
    async with OcrTurns(shared).turn(), OcrTurns(shared).turn():
        await pipeline.infer(frame_of(picture(0)), texts)
        pipeline.configure(NO_OCR)
        await pipeline.infer(frame_of(sign("NOT THIS"), 0.1), texts)
    pipeline.request_ocr()
    await pipeline.infer(frame_of(sign("THIS"), 0.2), texts)
    await pipeline.infer(frame_of(sign("THIS"), 0.3), texts)
    await eventually(lambda: texts.found)
    assert [(found.reason, found.texts[0].text) for found in texts.found] == [(OcrReason.TRIGGER, "THIS")]
    await pipeline.stop()


async def test_few_pictures_are_held_for_ocr_at_once_however_many_sessions_want_it(
    engine: EmbeddedEngine, executor: Executor
) -> None:
    alive: set[int] = set()
    most = 0

    def copy_of(image: Image) -> Image:
        nonlocal most
        copy = image.copy()
        alive.add(id(copy))
        weakref.finalize(copy, alive.discard, id(copy))
        most = max(most, len(alive))
        return copy

    shared, texts = shared_turns(), Texts()
    pipelines = [Pipeline(engine, NO_OCR, executor, shared) for _ in range(6)]
    shown = frame_of(sign("EXIT"))
    shown = replace(shown, for_ocr=lambda: copy_of(sign("EXIT")))
    for pipeline in pipelines:
        pipeline.request_ocr()
    await asyncio.gather(*(pipeline.infer(shown, texts) for pipeline in pipelines))
    await eventually(lambda: len(texts.found) == 6, 30)
    assert most <= 3, "two, and one that a thread is just letting go"
    assert not alive


async def test_after_a_stop_the_pipeline_goes_on(engine: EmbeddedEngine, executor: Executor) -> None:
    options = PipelineOptions(ocr_min_interval_s=0.0)
    pipeline, texts = Pipeline(engine, options, executor, shared_turns()), Texts()
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

    pipeline = Pipeline(engine, NO_OCR, executor, shared_turns())
    pipeline.request_ocr()
    await pipeline.infer(frame_of(sign("EXIT")), gone)
    await told.wait()
    with pytest.raises(ConnectionResetError):
        await pipeline.infer(frame_of(sign("EXIT")), gone)


async def test_without_ocr_models_a_request_does_nothing(tiny_models: Path, executor: Executor) -> None:
    files = find_models(tiny_models)
    engine = await EmbeddedEngine.open({task: files[task] for task in (Task.DETECT, Task.POSE)})
    pipeline, texts = Pipeline(engine, PipelineOptions(ocr=True), executor, shared_turns()), Texts()
    pipeline.request_ocr()
    result = await pipeline.infer(frame_of(sign("EXIT")), texts)
    await engine.close()
    assert result.failures == {}
    assert result.texts is None
