"""Tries a model: loads it, runs it, and says what it is and how fast."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from inference.catalogue import CatalogueError
from inference.engines.contract import ModelInfo, Task
from inference.engines.embedded import EmbeddedEngine
from inference.types import FRAME_HEIGHT, FRAME_WIDTH
from mediaserver.errors import ModelError, reading

_RUNS = 5


@dataclass(frozen=True, slots=True)
class CheckedModel:
    """A model that looks at the whole frame, and works; ``frame_ms`` is the median of a few runs, batch 1."""

    info: ModelInfo
    frame_ms: float

    def __str__(self) -> str:
        info, place = self.info, self.info.placement
        assert place is not None, "what looks at the frame has a place for it"
        classes = f", {len(info.labels)} classes" if info.labels else ""
        return (
            f"{info.name}: {info.task}, {info.layout} head{classes}, looks at {place.width}×{place.height}, "
            f"{self.frame_ms:.1f} ms a frame here"
        )


async def check_model(path: Path, task: Task) -> CheckedModel:
    """Loads and runs a model that looks at the whole frame. Raises `ModelError`, `UnreadableFile`."""
    try:
        with reading(path):
            engine = await EmbeddedEngine.open({task: path})
    except CatalogueError as exc:
        raise ModelError(str(exc)) from exc
    try:
        frame = np.full((1, FRAME_HEIGHT, FRAME_WIDTH, 3), 114, np.uint8)
        spent = []
        for _ in range(_RUNS):
            began = time.perf_counter()
            await engine.infer(task, frame)
            spent.append((time.perf_counter() - began) * 1000.0)
    finally:
        await engine.close()
    return CheckedModel(engine.models[task], float(np.median(spent)))
