"""An engine made slower, for tests of what happens when the models cannot keep up."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from inference.engines.contract import Engine, Head, InFlight, ModelInfo, Task


class SlowEngine:
    """The engine inside, each run of a model ``delay_s`` longer, one run of a model at a time and never two
    requests in one: ``1 / delay_s`` frames a second are the most. Closing it closes that engine."""

    def __init__(self, engine: Engine, delay_s: float) -> None:
        self._engine = engine
        self._delay_s = delay_s
        self._turns = {task: asyncio.Lock() for task in Task}

    @property
    def models(self) -> Mapping[Task, ModelInfo]:
        return self._engine.models

    @property
    def trouble(self) -> str | None:
        return self._engine.trouble

    @property
    def in_flight(self) -> InFlight:
        return self._engine.in_flight

    async def ready(self) -> None:
        await self._engine.ready()

    async def infer(self, task: Task, images: NDArray[np.uint8]) -> Head:
        async with self._turns[task]:
            await asyncio.sleep(self._delay_s)
            return await self._engine.infer(task, images)

    async def close(self) -> None:
        await self._engine.close()
