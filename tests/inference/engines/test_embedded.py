from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import numpy as np
import onnx
import psutil
import pytest
from onnx import helper, numpy_helper, parser

from inference.catalogue import CatalogueError, find_models
from inference.engines.contract import (
    EngineError,
    EngineOverloaded,
    HeadLayout,
    ModelFailed,
    ModelNotLoaded,
    Task,
)
from inference.engines.embedded import EmbeddedEngine
from inference.types import FRAME_HEIGHT, FRAME_WIDTH, Floats
from tests.support import clips
from tests.support.embedded_engine import inference_threads, opened
from tests.support.frames import canvas_of, frames
from tests.support.slow_engine import SlowEngine
from tests.support.tiny_models import LABELS, tiny_detector, tiny_pose, tiny_segmentation

ANY_BATCH, FIXED_BATCH, YOLOX, POSE = "any_batch.onnx", "fixed_batch.onnx", "yolox.onnx", "pose.onnx"


class Batches:
    """Observes an engine: the size of each batch by how it ended."""

    def __init__(self) -> None:
        self.done: list[int] = []
        self.failed: list[tuple[int, type[EngineError]]] = []

    def batch_done(self, task: Task, size: int, seconds: float) -> None:
        assert seconds > 0
        self.done.append(size)

    def batch_failed(self, task: Task, size: int, error: EngineError) -> None:
        self.failed.append((size, type(error)))

    def endpoint_seen(self, endpoint: str, *, ready: bool, shares_memory: bool) -> None:
        raise AssertionError("there is no server")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small real models by what is special about them, and a file that is none."""
    directory = tmp_path_factory.mktemp("models")
    onnx.save(tiny_detector(), directory / ANY_BATCH)
    onnx.save(tiny_detector(batch=1), directory / FIXED_BATCH)
    onnx.save(tiny_detector(HeadLayout.YOLOX), directory / YOLOX)
    onnx.save(tiny_pose(), directory / POSE)
    (directory / "weights.pt").write_bytes(b"PK" + bytes(1000))
    return directory


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    """Eight different frames, each as a request: uint8 [1, 240, 320, 3]."""
    size = (FRAME_WIDTH, FRAME_HEIGHT)
    return [clips.picture(0.2 * number, size)[np.newaxis] for number in range(8)]


@pytest.fixture(scope="module")
def ocr_files(tiny_models: Path) -> dict[Task, Path]:
    return {task: path for task, path in find_models(tiny_models).items() if task.startswith("ocr")}


async def detect(engine: EmbeddedEngine, pictures: np.ndarray) -> Floats:
    (head,) = await engine.infer(Task.DETECT, pictures)
    return head


async def detect_all(engine: EmbeddedEngine, pictures: list[np.ndarray]) -> list[Floats]:
    return await asyncio.gather(*(detect(engine, picture) for picture in pictures))


# --- batches ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "sizes"), [(ANY_BATCH, [4, 4]), (FIXED_BATCH, [1] * 8)])
async def test_requests_that_wait_share_a_run_and_get_what_they_would_get_alone(
    models: Path, pictures: list[np.ndarray], name: str, sizes: list[int]
) -> None:
    await compare_batched_with_single(models / name, pictures, sizes)


@pytest.mark.parametrize(
    ("name", "sizes"),
    [("yolo_coco_n.onnx", [4, 4]), ("yolox_nano_dyn.onnx", [4, 4]), ("yolox_nano.onnx", [1] * 8)],
)
async def test_so_it_is_with_trained_models(
    models_dir: Path, media_dir: Path, name: str, sizes: list[int]
) -> None:
    shown = [
        canvas_of(image)[np.newaxis] for _, image in frames(media_dir / "people.mp4", every=30, until_s=8)
    ]
    await compare_batched_with_single(models_dir / name, shown, sizes)


async def compare_batched_with_single(path: Path, pictures: list[np.ndarray], sizes: list[int]) -> None:
    batches = Batches()
    async with opened({Task.DETECT: path}, batches, threads=2) as engine:
        alone = [await detect(engine, picture) for picture in pictures]
        assert batches.done == [1] * 8
        together = await detect_all(engine, pictures)
        assert batches.done[8:] == sizes
    for one, other in zip(alone, together, strict=True):
        assert one.shape == other.shape
        assert one.dtype == np.float32
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-2)
    assert not np.allclose(together[0], together[7]), "the pictures differ"


async def test_a_request_of_several_images_is_answered_whole(
    models: Path, pictures: list[np.ndarray]
) -> None:
    batches = Batches()
    async with opened({Task.DETECT: models / ANY_BATCH}, batches, threads=1) as engine:
        sets = [np.concatenate(pictures[:3]), np.concatenate(pictures[3:6]), np.concatenate(pictures[6:])]
        heads = await detect_all(engine, sets)
        assert [len(head) for head in heads] == [3, 3, 2]
        assert batches.done == [8]
        last = await detect(engine, pictures[7])
    np.testing.assert_allclose(heads[2][1:], last, rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("batch", [None, 1], ids=["any batch", "batch 1"])
async def test_each_request_gets_its_part_of_every_output(
    pictures: list[np.ndarray], tmp_path: Path, batch: int | None
) -> None:
    onnx.save(tiny_segmentation(batch=batch), tmp_path / "seg.onnx")
    async with opened({Task.SEGMENT: tmp_path / "seg.onnx"}) as engine:
        alone = [await engine.infer(Task.SEGMENT, picture) for picture in pictures]
        together = await asyncio.gather(*(engine.infer(Task.SEGMENT, picture) for picture in pictures))
    for one, other in zip(alone, together, strict=True):
        assert [output.shape for output in one] == [(1, 39, 320), (1, 32, 64, 80)]
        for output, same in zip(one, other, strict=True):
            np.testing.assert_allclose(output, same, rtol=1e-3, atol=1e-2)
    assert not np.allclose(together[0][1], together[7][1]), "the pictures differ"


async def test_pictures_of_different_sizes_do_not_share_a_run(ocr_files: dict[Task, Path]) -> None:
    batches = Batches()
    async with opened(ocr_files, batches) as engine:
        maps = await asyncio.gather(
            *(
                engine.infer(Task.OCR_DET, np.zeros((1, side, 64, 3), np.uint8))
                for side in (64, 64, 96, 96, 96, 64)
            )
        )
    assert [text_map.shape for (text_map,) in maps] == [(1, 1, side, 64) for side in (64, 64, 96, 96, 96, 64)]
    assert batches.done == [2, 3, 1]


async def test_models_say_what_they_are_even_when_the_engine_is_closed(tiny_models: Path) -> None:
    async with opened(find_models(tiny_models)) as engine:
        open_models = dict(engine.models)
    assert engine.models == open_models
    assert set(open_models) == set(find_models(tiny_models))
    assert open_models[Task.DETECT].name == "colour_blobs"
    assert open_models[Task.DETECT].labels == LABELS


# --- what goes wrong ----------------------------------------------------------------------------------


async def test_a_task_without_a_model_is_refused(models: Path, pictures: list[np.ndarray]) -> None:
    async with opened({Task.DETECT: models / ANY_BATCH}) as engine:
        with pytest.raises(ModelNotLoaded, match="pose"):
            await engine.infer(Task.POSE, pictures[0])


async def test_more_than_may_wait_is_turned_away(models: Path, pictures: list[np.ndarray]) -> None:
    async with opened({Task.DETECT: models / ANY_BATCH}) as engine:
        answers = await asyncio.gather(
            *(engine.infer(Task.DETECT, pictures[0]) for _ in range(70)), return_exceptions=True
        )
        assert [type(answer) for answer in answers] == [tuple] * 64 + [EngineOverloaded] * 6
        assert (await detect(engine, pictures[0])).shape == (1, 6, 320)


async def test_a_cancelled_request_is_withdrawn_and_makes_room(
    models: Path, pictures: list[np.ndarray]
) -> None:
    batches = Batches()
    async with opened({Task.DETECT: models / FIXED_BATCH}, batches) as engine:
        calls = [asyncio.create_task(engine.infer(Task.DETECT, pictures[0])) for _ in range(64)]
        await asyncio.sleep(0)
        for call in calls[2:]:
            call.cancel()
        await asyncio.wait(calls[2:])
        await asyncio.gather(*calls[:2], *(engine.infer(Task.DETECT, picture) for picture in pictures))
        assert batches.done == [1] * 10


async def test_a_failed_run_fails_its_own_requests_only(ocr_files: dict[Task, Path]) -> None:
    good, too_low = np.zeros((1, 48, 96, 3), np.uint8), np.zeros((1, 40, 96, 3), np.uint8)
    batches = Batches()
    async with opened(ocr_files, batches) as engine:
        answers = await asyncio.gather(
            *(engine.infer(Task.OCR_REC, picture) for picture in (good, too_low, too_low, good)),
            return_exceptions=True,
        )
        assert [type(answer) for answer in answers] == [tuple, ModelFailed, ModelFailed, tuple]
        assert "PP-OCR" in str(answers[1])
        assert (batches.done, batches.failed) == ([1, 1], [(2, ModelFailed)])


@pytest.mark.parametrize(
    ("task", "name", "words"),
    [
        (Task.DETECT, "weights.pt", "ONNX Runtime cannot load it"),
        (Task.DETECT, "missing.onnx", "ONNX Runtime cannot load it"),
        (Task.DETECT, POSE, "the task 'pose' cannot detect"),
        (Task.DETECT, YOLOX, "class names are unknown"),
        (Task.POSE, YOLOX, "is no known pose head"),
        (Task.SEGMENT, YOLOX, "are no known segmentation head"),
    ],
)
async def test_a_file_that_is_no_such_model_is_named(models: Path, task: Task, name: str, words: str) -> None:
    with pytest.raises(CatalogueError, match=rf"{name}: .*{words}"):
        await EmbeddedEngine.open({task: models / name})
    assert inference_threads() == []


async def test_a_model_cut_short_is_refused(models: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.onnx"
    cut.write_bytes((models / ANY_BATCH).read_bytes()[:100_000])
    with pytest.raises(CatalogueError, match="ONNX Runtime cannot load it"):
        await EmbeddedEngine.open({Task.DETECT: cut})


async def test_a_model_is_tried_before_it_is_used(ocr_files: dict[Task, Path]) -> None:
    with pytest.raises(CatalogueError, match="a trial run failed"):
        await EmbeddedEngine.open({Task.OCR_DET: ocr_files[Task.OCR_REC]})


async def test_a_network_that_takes_other_input_is_refused_with_what_is_taken(tmp_path: Path) -> None:
    nhwc = parser.parse_model(
        """<ir_version: 9, opset_import: ["" : 18]>
        nhwc (float[1, 256, 320, 3] images) => (float[1, 256, 320, 3] head) { head = Identity(images) }"""
    )
    onnx.save(nhwc, tmp_path / "nhwc.onnx")
    with pytest.raises(CatalogueError, match=r"float32 \[batch, 3, H, W\] is taken"):
        await EmbeddedEngine.open({Task.DETECT: tmp_path / "nhwc.onnx"})


async def test_a_model_that_does_not_batch_as_its_shapes_say_is_refused(tmp_path: Path) -> None:
    """An exporter that traced with one picture leaves such graphs."""
    network = tiny_detector()
    network.graph.node[-1].output[0] = "heads"
    network.graph.initializer.append(numpy_helper.from_array(np.array([0]), "first"))
    network.graph.node.append(helper.make_node("Gather", ["heads", "first"], ["head"], axis=0))
    onnx.save(network, tmp_path / "traced.onnx")
    with pytest.raises(CatalogueError, match="a batch of 2 gave 1 heads; export it with a dynamic batch"):
        await EmbeddedEngine.open({Task.DETECT: tmp_path / "traced.onnx"})


# --- closing ------------------------------------------------------------------------------------------


async def test_closing_while_busy_lets_the_run_end_and_refuses_what_waits(
    models: Path, pictures: list[np.ndarray]
) -> None:
    batches = Batches()
    engine = await EmbeddedEngine.open({Task.DETECT: models / FIXED_BATCH}, observer=batches)
    calls = [asyncio.create_task(engine.infer(Task.DETECT, picture)) for picture in pictures]
    await asyncio.wait([calls[0]])  # by then the second runs
    await asyncio.gather(engine.close(), engine.close())

    answers = await asyncio.gather(*calls, return_exceptions=True)
    answered = len(batches.done)
    assert 1 <= answered < len(calls)
    assert [type(answer) for answer in answers[answered:]] == [ModelNotLoaded] * (len(calls) - answered)
    assert inference_threads() == []
    with pytest.raises(ModelNotLoaded):
        await engine.infer(Task.DETECT, pictures[0])
    await engine.close()


# --- resources ----------------------------------------------------------------------------------------


async def test_memory_stays_flat(
    models: Path, pictures: list[np.ndarray], ocr_files: dict[Task, Path]
) -> None:
    """Batches of every size, and OCR pictures of many sizes, whose memory an arena would never give back."""
    process = psutil.Process()
    random = np.random.default_rng(3)

    async def rounds(count: int) -> None:
        for _ in range(count):
            lines = np.zeros((2, 48, 32 * int(random.integers(1, 12)), 3), np.uint8)
            await asyncio.gather(
                detect_all(engine, pictures[: random.integers(1, 9)]), engine.infer(Task.OCR_REC, lines)
            )

    async with opened({Task.DETECT: models / ANY_BATCH} | ocr_files) as engine:
        await rounds(30)
        before = process.memory_info().rss
        await rounds(60)
        # The heads of these runs, if they were kept, would be 150 MB.
        assert process.memory_info().rss - before < 64 * 2**20


async def test_the_event_loop_is_free_while_models_run(models: Path, pictures: list[np.ndarray]) -> None:
    async with opened({Task.DETECT: models / ANY_BATCH}) as engine:
        work = asyncio.create_task(detect_all(engine, pictures * 6))
        turns = 0
        while not work.done():
            await asyncio.sleep(0.001)
            turns += 1
    assert turns > 10


async def test_threads_of_inference_yield_to_all_others(models: Path) -> None:
    """ONNX Runtime's own threads too."""
    ours = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    before = set(os.listdir("/proc/self/task"))
    async with opened({Task.DETECT: models / ANY_BATCH}, threads=6) as engine:
        await engine.infer(Task.DETECT, np.zeros((1, FRAME_HEIGHT, FRAME_WIDTH, 3), np.uint8))
        threads = set(os.listdir("/proc/self/task")) - before
        assert len(threads) >= 3, "one that runs the model and two that help it"
        assert {os.getpriority(os.PRIO_PROCESS, int(thread)) for thread in threads} == {ours + 2}
        assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == ours


async def test_a_slow_engine_answers_as_the_one_inside_one_request_after_the_other(models: Path) -> None:
    frame = np.full((1, FRAME_HEIGHT, FRAME_WIDTH, 3), 90, np.uint8)
    async with opened({Task.DETECT: models / ANY_BATCH}) as engine:
        slow = SlowEngine(engine, delay_s=0.1)
        loop = asyncio.get_running_loop()
        began = loop.time()
        answers = await asyncio.gather(*(slow.infer(Task.DETECT, frame) for _ in range(3)))
        assert loop.time() - began >= 0.3
        assert np.array_equal(answers[2][0], await detect(engine, frame))
        assert slow.models == engine.models
