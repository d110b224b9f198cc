"""Clients of every kind come, go, come back and change their minds: ``python -m tests.soak [MINUTES]``, 30 by
default. Prints a line a minute, and ends with 1 where something grows.

The server is in this process, the players are in others. What is counted is this process.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import psutil

from mediaserver.settings.types import NetworkInterface
from tests.e2e.test_leaks import KINDS
from tests.support.clips import write_clip
from tests.support.jpeg_client import jpeg_client
from tests.support.live_server import LiveServer, live_server
from tests.support.tiny_models import write_tiny_models

MINUTE_S = 60.0
SHORTEST_MINUTES = 3
CLIP_S = 20


@dataclass(frozen=True, slots=True)
class Sample:
    """What there is at one moment. Ages, of the last minute, in ms."""

    memory_mib: float
    threads: int
    descriptors: int
    tasks: int
    series: int
    results: int
    age_p50: float
    age_p99: float


ALLOWED = {"memory_mib": 40.0, "threads": 6, "descriptors": 24, "tasks": 40, "series": 30}
"""How much more there may be at the end than after the first minutes: pools fill, and clients are never as
many as before."""


async def players(live: LiveServer, folder: Path, ages_ms: list[float]) -> None:
    """Real clients in a process of their own, one after another: a clip, then JPEG frames."""
    clip = write_clip(folder / "soak.mp4", CLIP_S, size=(320, 240))
    for channel in itertools.cycle(("datachannel", "jpeg", "websocket")):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.network.python_client"),
            *(live.socket_url, str(clip), channel, str(CLIP_S)),
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            assert process.stdout is not None
            async for line in process.stdout:
                age_s = json.loads(line).get("result", {}).get("age_s")
                if age_s is not None:
                    ages_ms.append(age_s * 1000)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def passers_by(live: LiveServer, jpeg: bytes) -> None:
    """Those who come and go, are lost and come back, and send nonsense."""
    for kind in itertools.cycle(KINDS):
        with contextlib.suppress(TimeoutError, AssertionError, ConnectionError):
            await kind(live, jpeg)
        await asyncio.sleep(0.2)


async def changeable(live: LiveServer, jpeg: bytes) -> None:
    """Changes what runs, over and over."""
    while True:
        async with jpeg_client(live, jpeg) as client:
            for number in range(20):
                message = {
                    "type": "configure",
                    "pipeline": {"pose": bool(number % 2), "flow": number % 3 == 0},
                }
                await client._socket.send_json(message)
                await asyncio.sleep(0.5)


def sample(live: LiveServer, ages_ms: list[float]) -> Sample:
    process = psutil.Process()
    series = sum(1 for metric in live.server.metrics.registry.collect() for _ in metric.samples)
    found = Sample(
        process.memory_info().rss / 2**20,
        threading.active_count(),
        len(os.listdir("/proc/self/fd")),
        len(asyncio.all_tasks()),
        series,
        len(ages_ms),
        float(np.percentile(ages_ms, 50)) if ages_ms else float("nan"),
        float(np.percentile(ages_ms, 99)) if ages_ms else float("nan"),
    )
    ages_ms.clear()
    return found


def growth(samples: list[Sample]) -> list[str]:
    """What there is more of in the last third than in the first one, in words."""
    third = max(1, len(samples) // 3)
    grown = []
    for name, allowed in ALLOWED.items():
        before, after = (
            statistics.median(float(getattr(each, name)) for each in part)
            for part in (samples[:third], samples[-third:])
        )
        if after - before > allowed:
            grown.append(f"{name}: {before:g} → {after:g}")
    return grown


async def soak(minutes: int) -> list[str]:
    jpeg = bytes(cv2.imencode(".jpg", np.full((240, 320, 3), 90, np.uint8))[1])
    samples: list[Sample] = []
    print("| minute | memory MiB | threads | descriptors | tasks | series | results | age p50 / p99 ms |")
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        folder, ages_ms = Path(name), list[float]()
        server = live_server(
            write_tiny_models(folder), resume_window_s=2.0, ice_interfaces=(NetworkInterface("127.0.0.1"),)
        )
        async with server as live:
            crowd: list[Callable[[], Awaitable[None]]] = [
                lambda: players(live, folder, ages_ms),
                lambda: passers_by(live, jpeg),
                lambda: passers_by(live, jpeg),
                lambda: changeable(live, jpeg),
            ]
            tasks = [asyncio.ensure_future(each()) for each in crowd]
            try:
                for minute in range(1, minutes + 1):
                    await asyncio.wait(tasks, timeout=MINUTE_S, return_when=asyncio.FIRST_EXCEPTION)
                    for task in tasks:
                        if task.done():
                            task.result()
                    now = sample(live, ages_ms)
                    samples.append(now)
                    print(_row(minute, now), flush=True)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)
    return growth(samples[1:])  # in the first minute what is made once is made


def _row(minute: int, now: Sample) -> str:
    counts = f"{now.threads} | {now.descriptors} | {now.tasks} | {now.series} | {now.results}"
    return f"| {minute} | {now.memory_mib:.0f} | {counts} | {now.age_p50:.0f} / {now.age_p99:.0f} |"


def main() -> int:
    minutes = max(SHORTEST_MINUTES, int(sys.argv[1]) if len(sys.argv) > 1 else 30)
    began = time.monotonic()
    grown = asyncio.run(soak(minutes))
    print(f"\n{(time.monotonic() - began) / 60:.0f} minutes; grown: {', '.join(grown) or 'nothing'}")
    return 1 if grown else 0


if __name__ == "__main__":
    sys.exit(main())
