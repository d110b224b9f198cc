from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from inference.account import Account
from inference.engines.charged import ChargedEngine, RunCosts
from inference.engines.contract import ModelFailed, Task
from inference.engines.embedded import EmbeddedEngine
from mediaserver.telemetry.metrics import Metrics
from tests.support.tiny_models import DETECTOR

FRAMES = np.zeros((2, 240, 320, 3), np.uint8)


def test_what_an_item_takes_is_its_share_of_the_runs_lately() -> None:
    metrics = Metrics()
    costs = RunCosts(metrics)
    assert costs.item_s(Task.DETECT) == 0
    costs.batch_done(Task.DETECT, 4, 0.2)
    assert costs.item_s(Task.DETECT) == pytest.approx(0.05)
    for _ in range(100):
        costs.batch_done(Task.DETECT, 1, 0.01)
    assert costs.item_s(Task.DETECT) == pytest.approx(0.01)
    assert costs.item_s(Task.POSE) == 0


def test_the_other_observer_is_told_all() -> None:
    metrics = Metrics()
    costs = RunCosts(metrics)
    costs.batch_done(Task.DETECT, 4, 0.2)
    costs.batch_failed(Task.POSE, 1, ModelFailed("no"))
    costs.endpoint_seen("triton:8001", ready=True, shares_memory=False)
    value = metrics.registry.get_sample_value
    assert value("mediaserver_batch_size_count", {"model": "detect"}) == 1
    assert value("mediaserver_model_errors_total", {"model": "pose", "error": "ModelFailed"}) == 1
    assert value("mediaserver_endpoint_ready", {"endpoint": "triton:8001"}) == 1
    assert value("mediaserver_endpoint_shared_memory", {"endpoint": "triton:8001"}) == 0


async def test_each_run_is_charged_to_the_session_that_asked_for_it(tiny_models: Path) -> None:
    costs = RunCosts(Metrics())
    models = {Task.DETECT: tiny_models / f"{DETECTOR}.onnx"}
    engine = await EmbeddedEngine.open(models, observer=costs)
    try:
        costs.batch_done(Task.DETECT, 1, 1.0)
        busy, idle = Account(), Account()
        charged = ChargedEngine(engine, costs, busy)
        assert charged.models is engine.models
        head = await charged.infer(Task.DETECT, FRAMES)
        assert len(head[0]) == 2
        assert busy.used_s > 1
        assert idle.used_s == 0
        await charged.close()
        await engine.infer(Task.DETECT, FRAMES)  # it goes on for the others
    finally:
        await engine.close()
