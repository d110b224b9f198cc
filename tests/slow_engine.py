"""An engine made slower, for tests of what happens when the models cannot keep up."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from inference.engine import Engine, ModelInfo, Task
from inference.types import Floats


class SlowEngine:
    """The engine inside, with ``delay_s`` added to each call. Closing it closes that engine."""

    def __init__(self, engine: Engine, delay_s: float) -> None:
        self._engine = engine
        self.delay_s = delay_s

    @property
    def models(self) -> Mapping[Task, ModelInfo]:
        return self._engine.models

    async def infer(self, task: Task, images: NDArray[np.uint8]) -> Floats:
        await asyncio.sleep(self.delay_s)
        return await self._engine.infer(task, images)

    async def close(self) -> None:
        await self._engine.close()
