"""Charges sessions for the models that run for them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from inference.account import Account
from inference.engines.contract import Engine, EngineError, EngineObserver, Head, InFlight, ModelInfo, Task

_GAIN = 0.2
"""Weight of the last run in the moving average of the time of an item."""


class RunCosts:
    """An `EngineObserver` that averages the time of one item of each model, and forwards to ``observer``."""

    def __init__(self, observer: EngineObserver) -> None:
        self._observer = observer
        self._item_s: dict[Task, float] = {}

    def item_s(self, task: Task) -> float:
        """Average seconds for one item: its share of a batch. 0 before the first run."""
        return self._item_s.get(task, 0.0)

    def batch_done(self, task: Task, size: int, seconds: float) -> None:
        """As `EngineObserver.batch_done`."""
        usual_s = self._item_s.get(task, seconds / size)
        self._item_s[task] = usual_s + _GAIN * (seconds / size - usual_s)
        self._observer.batch_done(task, size, seconds)

    def batch_failed(self, task: Task, size: int, error: EngineError) -> None:
        """As `EngineObserver.batch_failed`."""
        self._observer.batch_failed(task, size, error)

    def endpoint_seen(self, endpoint: str, *, ready: bool, shares_memory: bool) -> None:
        """As `EngineObserver.endpoint_seen`."""
        self._observer.endpoint_seen(endpoint, ready=ready, shares_memory=shares_memory)


class ChargedEngine:
    """The shared engine as one session sees it: each run is charged to ``account``.

    Only the time of a whole batch can be measured. So each item is charged its average time.
    """

    def __init__(self, engine: Engine, costs: RunCosts, account: Account) -> None:
        self._engine = engine
        self._costs = costs
        self._account = account

    @property
    def models(self) -> Mapping[Task, ModelInfo]:
        """As `Engine.models` of the contract."""
        return self._engine.models

    @property
    def trouble(self) -> str | None:
        """As `Engine.trouble` of the contract."""
        return self._engine.trouble

    @property
    def in_flight(self) -> InFlight:
        """As `Engine.in_flight` of the contract."""
        return self._engine.in_flight

    async def ready(self) -> None:
        """As `Engine.ready` of the contract."""
        await self._engine.ready()

    async def infer(self, task: Task, images: NDArray[np.uint8]) -> Head:
        """As `Engine.infer` of the contract."""
        self._account.charge(self._costs.item_s(task) * len(images))
        return await self._engine.infer(task, images)

    async def close(self) -> None:
        """Does nothing: other sessions use the engine."""
