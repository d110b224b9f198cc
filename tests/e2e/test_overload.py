"""A model far slower than the camera: frames are dropped, never queued, and what is inferred is fresh."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import numpy as np
import psutil

from mediaserver.client import InferenceClient
from signaling.messages import PipelineConfig, Result
from tests.live_server import live_server
from tests.slow_engine import SlowEngine

FRAME_INTERVAL_MS = 1000 / 30
MODEL_MS = 330.0


async def play_slowly(tiny_models: Path, clip: Path) -> tuple[list[Result], int]:
    async with (
        live_server(
            tiny_models, lambda engine: SlowEngine(engine, delay_s=MODEL_MS / 1000), rate_hints=False
        ) as live,
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


async def test_memory_stays_flat(tiny_models: Path, clip: Path) -> None:
    await play_slowly(tiny_models, clip)
    gc.collect()
    before = psutil.Process(os.getpid()).memory_info().rss
    await play_slowly(tiny_models, clip)
    gc.collect()
    assert psutil.Process(os.getpid()).memory_info().rss - before < 30 * 2**20
