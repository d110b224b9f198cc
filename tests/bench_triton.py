"""Measures the server around a real Triton: ``python -m tests.bench_triton``.

Prints Markdown tables. Triton runs here, on the processor; the model that is measured sleeps for as long
as a small GPU model would take for a batch of any size, so that the figures are about all but the model.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import uvloop
from numpy.typing import NDArray

from inference.engine import Engine, ModelInfo, Task
from inference.triton import TritonEngine
from inference.types import Floats
from mediaserver.triton_server import fetch, free_ports, triton_server
from tests.clips import picture
from tests.jpeg_client import jpeg_client
from tests.live_server import live_server
from tests.tiny_models import write_tiny_models
from tests.triton_models import write_tiny_repository
from tests.waiting import eventually

MODEL_S = 0.02
SECONDS = 6.0


class TimedEngine:
    """Triton's engine, with the time of each call kept."""

    def __init__(self, engine: Engine) -> None:
        self.spent_ms: list[float] = []
        self._engine = engine

    @property
    def models(self) -> dict[Task, ModelInfo]:
        return dict(self._engine.models)

    @property
    def trouble(self) -> str | None:
        return self._engine.trouble

    async def ready(self) -> None:
        await self._engine.ready()

    async def infer(self, task: Task, images: NDArray[np.uint8]) -> Floats:
        began = time.perf_counter()
        head = await self._engine.infer(task, images)
        self.spent_ms.append((time.perf_counter() - began) * 1000.0)
        return head

    async def close(self) -> None:
        await self._engine.close()


class Batches:
    """Frames and runs of the pose model, as Triton counts them."""

    def __init__(self) -> None:
        self.sizes: Counter[int] = Counter()

    def batch_done(self, task: Task, size: int, seconds: float) -> None:
        self.sizes[size] += task is Task.POSE

    def batch_failed(self, task: Task, size: int, error: Exception) -> None:
        print(f"failed: {error}", file=sys.stderr)

    def endpoint_seen(self, endpoint: str, *, ready: bool) -> None: ...

    def mean(self) -> float:
        return sum(size * count for size, count in self.sizes.items()) / max(1, self.sizes.total())


def table(title: str, *rows: tuple[object, ...]) -> None:
    head, *body = ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    print(f"\n### {title}\n", head, "|---" * len(rows[0]) + "|", *body, sep="\n", flush=True)


async def bare_rate(url: str, in_flight: int) -> tuple[float, float]:
    """Frames a second that Triton yields to a client that does nothing else, and its mean batch."""
    batches = Batches()
    engine = await TritonEngine.open([url], deadline_s=10, observer=batches)
    await engine.ready()
    frame = picture(0.0, (320, 240))[np.newaxis]
    done, end = 0, time.monotonic() + SECONDS

    async def ask() -> None:
        nonlocal done
        while time.monotonic() < end:
            await engine.infer(Task.POSE, frame)
            done += 1

    await asyncio.gather(*(ask() for _ in range(in_flight)))
    await engine.close()
    return done / SECONDS, batches.mean()


@dataclass(frozen=True)
class Load:
    """What some sessions got in a while: frames a second, Triton's mean batch, milliseconds a frame."""

    rate: float
    mean_batch: float
    outside_stage_ms: list[float]
    around_call_ms: float


async def load(models: Path, url: str, jpeg: bytes, sessions: int, interval_s: float) -> Load:
    """Sessions that send a frame each ``interval_s`` and want poses."""
    timed: list[TimedEngine] = []

    def wrap(engine: Engine) -> Engine:
        timed.append(TimedEngine(engine))
        return timed[0]

    batches = Batches()
    settings = {"engine": "triton", "triton_urls": (url,), "max_in_flight": 16, "rate_hints": False}
    async with contextlib.AsyncExitStack() as stack:
        live = await stack.enter_async_context(live_server(models, wrap, **settings))
        clients = [
            await stack.enter_async_context(jpeg_client(live, jpeg, interval_s=interval_s, detect=False))
            for _ in range(sessions)
        ]
        await eventually(lambda: all(client.results for client in clients))
        watch = await TritonEngine.open([url], deadline_s=10, observer=batches)
        await asyncio.sleep(1.0)
        batches.sizes.clear()
        timed[0].spent_ms.clear()
        before = live.metric("frames_inferred_total")
        marks = [len(client.results) for client in clients]
        await asyncio.sleep(SECONDS)
        rate = (live.metric("frames_inferred_total") - before) / SECONDS
        times = [
            result["timing_ms"]
            for client, mark in zip(clients, marks, strict=True)
            for result in client.results[mark:]
        ]
        outside = [spent["total"] - spent["wait"] - spent["pose"] for spent in times]
        around = float(np.mean([spent["pose"] for spent in times]) - np.mean(timed[0].spent_ms))
        await watch.close()
    return Load(rate, batches.mean(), outside, around)


async def killed(models: Path, repository: Path, jpeg: bytes) -> None:
    """Kill -9 and a new start under six sessions."""
    ports = free_ports()
    server = fetch()
    async with contextlib.AsyncExitStack() as stack:
        running = await stack.enter_async_context(triton_server(server, repository, ports))
        live = await stack.enter_async_context(
            live_server(models, engine="triton", triton_urls=(running.grpc,))
        )
        clients = [await stack.enter_async_context(jpeg_client(live, jpeg, pose=False)) for _ in range(6)]
        await eventually(lambda: all(client.detecting for client in clients))
        os.killpg(running.process.pid, signal.SIGKILL)
        began = time.monotonic()
        await eventually(lambda: all("degraded" in client.states for client in clients))
        told_s = time.monotonic() - began
        await eventually(lambda: not any(client.detecting for client in clients))
        await stack.enter_async_context(triton_server(server, repository, ports))
        began = time.monotonic()
        await eventually(lambda: any(client.detecting for client in clients))
        first_s = time.monotonic() - began
        await eventually(lambda: all(client.detecting for client in clients))
        table(
            "Kill -9 and restart, 6 sessions",
            ("sessions lost", "all told `degraded` after", "first result after ready", "all after"),
            (
                sum(client.closed for client in clients),
                f"{told_s:.2f} s",
                f"{first_s:.2f} s",
                f"{time.monotonic() - began:.2f} s",
            ),
        )


async def main() -> None:
    jpeg = cv2.imencode(".jpg", picture(0.0, (320, 240))[:, :, ::-1])[1].tobytes()
    with tempfile.TemporaryDirectory() as folder:
        models, repository = Path(folder) / "models", Path(folder) / "repository"
        models.mkdir()
        write_tiny_repository(repository, write_tiny_models(models), pose_seconds=MODEL_S)
        async with triton_server(fetch(), repository, free_ports()) as running:
            bare, bare_batch = await bare_rate(running.grpc, 16)
            eight = await load(models, running.grpc, jpeg, 8, 0.025)
            four = await load(models, running.grpc, jpeg, 4, 0.1)
        table(
            f"Batching, {MODEL_S * 1000:g} ms a batch of any size",
            ("client", "frames/s", "mean batch"),
            ("bare, 16 in flight", f"{bare:.0f}", f"{bare_batch:.1f}"),
            ("8 sessions of 40 frames/s", f"{eight.rate:.0f}", f"{eight.mean_batch:.1f}"),
        )
        p50, p99 = np.percentile(four.outside_stage_ms, (50, 99))
        table(
            "What the server adds to a frame, 4 sessions of 10 frames/s, ms",
            ("outside the model's stage, p50", "p99", "inside it, around the call to Triton, mean"),
            (f"{p50:.2f}", f"{p99:.2f}", f"{four.around_call_ms:.2f}"),
        )
        await killed(models, repository, jpeg)


if __name__ == "__main__":
    uvloop.run(main())
