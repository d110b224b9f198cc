"""A model far slower than the camera: frames are dropped, never queued, and what is inferred is fresh."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from inference.engines.contract import Engine, Head, Task
from mediaserver.client.client import InferenceClient
from signaling.messages import Result
from signaling.pipeline_config import PipelineConfig
from tests.support.live_server import live_server
from tests.support.slow_engine import SlowEngine

FRAME_INTERVAL_MS = 1000 / 30
MODEL_MS = 330.0


def slow(engine: Engine) -> Engine:
    return SlowEngine(engine, delay_s=MODEL_MS / 1000)


async def play_slowly(
    tiny_models: Path, clip: Path, wrap: Callable[[Engine], Engine] = slow
) -> tuple[list[Result], int]:
    async with (
        live_server(tiny_models, wrap, rate_hints=False) as live,
        InferenceClient(live.socket_url, pipeline=PipelineConfig(pose=False)) as client,
    ):
        results = [result async for result in client.stream(clip)]
        return results, client.stats.frames_sent


async def test_a_slow_model_gets_fresh_frames(tiny_models: Path, clip: Path) -> None:
    results, sent = await play_slowly(tiny_models, clip)
    waits = [result.timing_ms["wait"] for result in results]
    assert len(waits) >= 5
    assert np.median(waits) <= FRAME_INTERVAL_MS + 10
    # A queue of one frame would cost the model's own time, each time. A machine that stalls costs it once.
    assert np.percentile(waits, 80) < 0.5 * MODEL_MS
    dropped = results[-1].dropped
    assert dropped["sink"] + len(results) >= 0.8 * (sent - 10)
    assert dropped["stale"] == 0


class CountingEngine(SlowEngine):
    """Counts the pictures that are somewhere in this process while a model runs."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine, delay_s=MODEL_MS / 1000)
        self.pictures: list[int] = []

    async def infer(self, task: Task, images: NDArray[np.uint8]) -> Head:
        found = await super().infer(task, images)
        self.pictures.append(sum(isinstance(thing, av.VideoFrame) for thing in gc.get_objects()))
        return found


async def test_no_pictures_pile_up(tiny_models: Path, clip: Path) -> None:
    engines: list[CountingEngine] = []

    def counting(engine: Engine) -> Engine:
        engines.append(CountingEngine(engine))
        return engines[-1]

    await play_slowly(tiny_models, clip, counting)
    # The camera's, the encoder's, the decoder's, the slot's: 6 or 7. In a queue there would be 90.
    assert len(engines[0].pictures) >= 5
    assert max(engines[0].pictures) < 20
