"""How the engine uses processors and memory: for what is on, and for nothing else."""

from __future__ import annotations

import asyncio
import ctypes
import itertools
import time
from pathlib import Path

import numpy as np
import onnx
import psutil
import pytest
from onnx import helper, numpy_helper

from inference.engines.contract import EngineError, HeadLayout, ModelFailed, Task
from inference.types import FRAME_HEIGHT, FRAME_WIDTH
from tests.support import clips
from tests.support.embedded_engine import opened
from tests.support.tiny_models import tiny_detector, tiny_pose


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("models")
    onnx.save(tiny_detector(batch=1), directory / "detect.onnx")
    onnx.save(tiny_pose(), directory / "pose.onnx")
    return directory


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    return [clips.picture(0.2 * number, (FRAME_WIDTH, FRAME_HEIGHT))[np.newaxis] for number in range(8)]


class Intervals:
    """Observes an engine: when each run went on, as task, begin and end."""

    def __init__(self) -> None:
        self.seen: list[tuple[Task, float, float]] = []

    def batch_done(self, task: Task, size: int, seconds: float) -> None:
        now = time.monotonic()
        self.seen.append((task, now - seconds, now))

    def batch_failed(self, task: Task, size: int, error: EngineError) -> None:
        raise AssertionError(error)

    def endpoint_seen(self, endpoint: str, *, ready: bool) -> None:
        raise AssertionError("there is no server")

    @property
    def at_once(self) -> int:
        """The most runs that went on at the same time."""
        changes = sorted(change for _, begin, end in self.seen for change in ((begin, 1), (end, -1)))
        return max(itertools.accumulate(change for _, change in changes))


@pytest.mark.parametrize(("threads", "at_once"), [(1, 1), (2, 2), (3, 3), (4, 2)])
async def test_one_model_alone_has_all_threads(
    models: Path, pictures: list[np.ndarray], threads: int, at_once: int
) -> None:
    intervals = Intervals()
    async with opened({Task.DETECT: models / "detect.onnx"}, intervals, threads) as engine:
        await asyncio.gather(*(engine.infer(Task.DETECT, each) for each in pictures * 4))
        assert engine.in_flight.frames == at_once + 1
    assert intervals.at_once == at_once


async def test_models_that_are_asked_alike_take_turns(models: Path, pictures: list[np.ndarray]) -> None:
    intervals = Intervals()
    files = {Task.DETECT: models / "detect.onnx", Task.POSE: models / "pose.onnx"}
    async with opened(files, intervals, threads=1) as engine:
        await asyncio.gather(*(engine.infer(task, picture) for picture in pictures for task in files))
    # Pose takes batches and detection does not; neither waits for all of the other's.
    assert intervals.seen[1][0] is Task.POSE


async def test_a_model_that_nobody_asked_for_takes_no_memory(tmp_path: Path, models: Path) -> None:
    large = tiny_pose()
    weights = np.random.default_rng(0).random(12_000_000).astype(np.float32)  # 48 MB
    large.graph.initializer.append(numpy_helper.from_array(weights, "much"))
    looked_up = [  # by what is known only when it runs, so that nothing is computed before
        helper.make_node("Shape", ["images"], ["count"], end=1),
        helper.make_node("Gather", ["much", "count"], ["one_of_many"]),
        helper.make_node("Mul", ["one_of_many", "zero"], ["nothing"]),
        helper.make_node("Add", ["head", "nothing"], ["whole"]),
    ]
    large.graph.node.extend(looked_up)
    large.graph.output[0].name = "whole"
    onnx.save(large, tmp_path / "large.onnx")
    process = psutil.Process()
    async with opened({Task.DETECT: models / "detect.onnx", Task.POSE: tmp_path / "large.onnx"}) as engine:
        ctypes.CDLL(None).malloc_trim(0)
        before = process.memory_info().rss
        frame = np.zeros((1, FRAME_HEIGHT, FRAME_WIDTH, 3), np.uint8)
        await engine.infer(Task.DETECT, frame)
        assert engine.models[Task.POSE].name == "large"
        await engine.infer(Task.POSE, frame)
        assert process.memory_info().rss - before > 40 * 2**20


async def test_a_file_that_changed_before_it_was_asked_for_is_not_run(tmp_path: Path) -> None:
    path = tmp_path / "pose.onnx"
    onnx.save(tiny_pose(), path)
    frame = np.zeros((1, FRAME_HEIGHT, FRAME_WIDTH, 3), np.uint8)
    async with opened({Task.POSE: path}) as engine:
        onnx.save(tiny_pose(HeadLayout.END_TO_END), path)
        with pytest.raises(ModelFailed, match="its file has changed since the server was started"):
            await engine.infer(Task.POSE, frame)
