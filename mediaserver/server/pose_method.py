"""Chooses the pose method by the speed of this machine, if there are models for both methods."""

from __future__ import annotations

import logging
import time

import numpy as np

from inference.catalogue import CatalogueError
from inference.engines.contract import Task
from inference.engines.embedded import EmbeddedEngine
from inference.stages import trial_size
from inference.top_down import MAX_CROPS, is_possible

_FRAME_S = 1 / 30
_RUNS = 3

logger = logging.getLogger(__name__)


async def settle_pose_method(engine: EmbeddedEngine) -> None:
    """Unloads the models of one pose method if the engine has both. The engine must not be in use yet.

    Top-down is kept if 12 crops take 1/30 s or less, else single-shot. Raises `CatalogueError` if there is
    only a top-down model, and the detector lacks the label ``person``.
    """
    possible = is_possible(engine.models)
    if Task.POSE_CROP not in engine.models:
        return
    if Task.POSE not in engine.models:
        if not possible:
            raise CatalogueError("poses top-down need a detector that knows the label 'person'")
        return
    crops_s = await _crops_s(engine)
    top_down = possible and crops_s <= _FRAME_S
    engine.unload(Task.POSE if top_down else Task.POSE_CROP)
    logger.info(
        "poses %s: %d crops take %.0f ms here (the setting pose_method chooses)",
        "top-down" if top_down else "single-shot",
        MAX_CROPS,
        crops_s * 1000,
    )


async def _crops_s(engine: EmbeddedEngine) -> float:
    """Measures the seconds for 12 crops, as the minimum of three runs."""
    crops = np.full((MAX_CROPS, *trial_size(engine.models[Task.POSE_CROP]), 3), 114, np.uint8)
    spent = []
    for _ in range(_RUNS):
        began = time.perf_counter()
        await engine.infer(Task.POSE_CROP, crops)
        spent.append(time.perf_counter() - began)
    return min(spent)
