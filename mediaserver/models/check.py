"""Checks a model: loads it, runs it, and reports its kind and its speed."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from inference.catalogue import CatalogueError
from inference.engines.contract import ModelInfo, Task
from inference.engines.embedded import EmbeddedEngine
from inference.stages import trial_size
from mediaserver.errors import ModelError, reading

_RUNS = 5


@dataclass(frozen=True, slots=True)
class CheckedModel:
    """A working model of the whole frame or of crops. ``frame_ms`` is the median of 5 runs with batch 1."""

    info: ModelInfo
    frame_ms: float

    def __str__(self) -> str:
        info, place = self.info, self.info.placement
        if place is None:
            size = f"{info.crop_side}×{info.crop_side}"
            return f"{info.name}: {info.task}, looks at crops of {size}, {self.frame_ms:.1f} ms for each here"
        classes = f", {len(info.labels)} classes" if info.labels else ""
        return (
            f"{info.name}: {info.task}, {info.layout} head{classes}, looks at {place.width}×{place.height}, "
            f"{self.frame_ms:.1f} ms a frame here"
        )


async def check_model(path: Path, task: Task) -> CheckedModel:
    """Loads and runs a model of the whole frame, or of crops.

    Raises `ModelError`, `UnreadableFile`.
    """
    try:
        with reading(path):
            engine = await EmbeddedEngine.open({task: path})
    except CatalogueError as exc:
        raise ModelError(str(exc)) from exc
    try:
        frame = np.full((1, *trial_size(engine.models[task]), 3), 114, np.uint8)
        spent = []
        for _ in range(_RUNS):
            began = time.perf_counter()
            await engine.infer(task, frame)
            spent.append((time.perf_counter() - began) * 1000.0)
    finally:
        await engine.close()
    return CheckedModel(engine.models[task], float(np.median(spent)))
