"""Measures the server with a real Triton: ``python -m tests.bench.triton [batching|added|killed …]``.

Prints Markdown tables. ``memory`` takes ten minutes and runs only where it is named. Triton runs here,
without a GPU: the model that is measured sleeps for as long as a run would take there, so the figures are
about all but the model. Clients are processes of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
import uvloop
from numpy.typing import NDArray
from tritonclient.grpc.aio import InferenceServerClient, InferInput

from inference.engines.contract import Engine, Head, Task
from inference.engines.frame_memory import FrameMemory
from inference.engines.triton import TritonEngine
from inference.model_metadata import INPUT
from inference.stages import NETWORKS
from mediaserver.models.local_triton import RunningTriton, TritonPorts, fetch, triton_server
from tests.bench.path import serving
from tests.support.clips import picture
from tests.support.jpeg_client import jpeg_client
from tests.support.live_server import LiveServer, live_server, served_by
from tests.support.load_clients import WARM_UP_S, load, session_of
from tests.support.tiny_models import write_tiny_models
from tests.support.triton_models import write_replaying_repository, write_tiny_repository
from tests.support.waiting import eventually

RUN_S, FRAME_S = 0.03, 0.001
"""What a run of the model takes, and what each frame in it adds."""
SECONDS = 8.0
MINUTES = 10


class TimedEngine:
    """Triton's engine, with the milliseconds of each call kept, by the session that the picture names."""

    def __init__(self, engine: Engine) -> None:
        self.calls_ms: defaultdict[int, list[float]] = defaultdict(list)
        self._engine = engine

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    async def infer(self, task: Task, images: NDArray[np.uint8]) -> Head:
        calls = self.calls_ms[session_of(images[0])]
        number = len(calls)
        calls.append(0.0)
        began = time.perf_counter()
        head = await self._engine.infer(task, images)
        calls[number] = (time.perf_counter() - began) * 1000.0
        return head


class Usage:
    """Processors that this process, Triton and the clients use between two moments."""

    def __init__(self, triton: RunningTriton) -> None:
        self._triton = psutil.Process(triton.process.pid)
        self._began = time.monotonic()
        self._before = self._seconds()

    def _seconds(self) -> list[float]:
        mine, theirs = psutil.Process(), [self._triton, *self._triton.children(recursive=True)]
        clients = [each for each in mine.children() if each.pid != self._triton.pid]
        return [sum(sum(process.cpu_times()[:2]) for process in group) for group in ([mine], theirs, clients)]

    def seconds(self) -> list[float]:
        """Processor time of each since this was made."""
        return [now - before for now, before in zip(self._seconds(), self._before, strict=True)]

    def __str__(self) -> str:
        """Of how many processors each made full use since this was made."""
        spent = time.monotonic() - self._began
        return " / ".join(f"{seconds / spent:.2f}" for seconds in self.seconds())


@dataclass(frozen=True, slots=True)
class Runs:
    """What Triton says of the pose model: frames a second, mean batch, mean milliseconds in its queue."""

    rate: float
    mean_batch: float
    queue_ms: float


@contextlib.asynccontextmanager
async def watched(triton: RunningTriton, runs: list[Runs]) -> AsyncIterator[None]:
    async def counts() -> NDArray[np.float64]:
        model = (await client.get_inference_statistics(str(Task.POSE))).model_stats[0]
        queue = model.inference_stats.queue
        return np.array((model.inference_count, model.execution_count, queue.ns / 1e6, queue.count))

    async with InferenceServerClient(triton.grpc) as client:
        before, began = await counts(), time.monotonic()
        yield
        frames, executions, queue_ms, requests = await counts() - before
        spent = time.monotonic() - began
        runs.append(Runs(frames / spent, frames / max(executions, 1), queue_ms / max(requests, 1)))


def table(title: str, *rows: tuple[object, ...]) -> None:
    head, *body = ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    print(f"\n### {title}\n", head, "|---" * len(rows[0]) + "|", *body, sep="\n", flush=True)


async def bare(triton: RunningTriton, in_flight: int) -> tuple[Runs, str]:
    """What Triton yields to a client that does nothing else."""
    engine = await TritonEngine.open([triton.grpc], deadline_s=10)
    await engine.ready()
    frame = picture(0.0, (320, 240))[np.newaxis]
    end, runs, usage = time.monotonic() + SECONDS, list[Runs](), Usage(triton)

    async def ask() -> None:
        while time.monotonic() < end:
            await engine.infer(Task.POSE, frame)

    async with watched(triton, runs):
        await asyncio.gather(*(ask() for _ in range(in_flight)))
    await engine.close()
    return runs[0], str(usage)


@contextlib.asynccontextmanager
async def timed_server(triton: RunningTriton, models: Path) -> AsyncIterator[tuple[LiveServer, TimedEngine]]:
    timed: list[TimedEngine] = []

    def wrap(engine: Engine) -> Engine:
        timed.append(TimedEngine(engine))
        return timed[0]  # type: ignore[return-value]

    settings = {**served_by(triton), "rate_hints": False}
    async with live_server(models, wrap, **settings) as live:
        yield live, timed[0]


async def batching(triton: RunningTriton, models: Path, repository: Path) -> None:
    """SessionRegistry, and a client that keeps as many requests in flight as they may."""
    rows: list[tuple[object, ...]] = []

    def add(client: str, runs: Runs, waits_ms: str, usage: str) -> None:
        row = (f"{runs.rate:.0f}", f"{runs.mean_batch:.1f}", f"{runs.queue_ms:.0f}", waits_ms, usage)
        rows.append((client, *row))

    for in_flight in (8, 16):
        runs, usage = await bare(triton, in_flight)
        add(f"bare, {in_flight} in flight", runs, "", usage)
    for kind, rate in (("jpeg", 30), ("jpeg", 40), ("webrtc", 30)):
        runs, waits, usage = await eight_sessions(triton, models, kind, rate)
        waits_ms = f"{np.percentile(waits, 50):.0f} / {np.percentile(waits, 99):.0f}"
        add(f"8 sessions of {rate} frames/s, {kind}", runs, waits_ms, usage)
    head = ("client", "frames/s", "mean batch", "ms in Triton's queue", "ms in the slot, p50 / p99")
    table(
        f"Batching: a model of {RUN_S * 1000:g} ms a run and {FRAME_S * 1000:g} ms a frame",
        (*head, "processors: server / Triton / clients"),
        *rows,
    )


async def eight_sessions(
    triton: RunningTriton, models: Path, kind: str, frames_per_s: float
) -> tuple[Runs, list[float], str]:
    """Triton's runs, the milliseconds that frames waited in their slots, and the processors used."""
    async with timed_server(triton, models) as (live, _):
        seen: list[Runs] = []
        clients = asyncio.create_task(load(kind, live.socket_url, 8, frames_per_s, SECONDS + 1))
        await eventually(lambda: live.metric("frames_inferred_total") > 8, 30)
        await asyncio.sleep(WARM_UP_S)
        usage = Usage(triton)
        async with watched(triton, seen):
            await asyncio.sleep(SECONDS - 1)
        used = str(usage)
        waits = [result["timing_ms"]["wait"] for session in await clients for result in session]
    return seen[0], waits, used


async def added(triton: RunningTriton, models: Path, repository: Path) -> None:
    """What the server adds to a frame around the call to Triton."""
    async with timed_server(triton, models) as (live, timed):
        sessions = await load("jpeg", live.socket_url, 4, 10, 3 * SECONDS)
    parts: dict[str, list[float]] = defaultdict(list)
    for number, results in enumerate(sessions):
        for result in results:
            spent, call = result["timing_ms"], timed.calls_ms[number][result["seq"] - 1]
            parts["all but the call"].append(spent["total"] - call)
            parts["in the slot"].append(spent["wait"])
            parts["decoding and scaling"].append(spent["prepare"])
            parts["around the call, and reading the head"].append(spent["pose"] - call)
            others = spent["total"] - spent["wait"] - spent["prepare"] - spent["pose"]
            parts["the rest"].append(others)
            parts["the call"].append(call)
    shares = (50, 90, 99, 100)
    table(
        "What the server adds, from arrival to result, 4 sessions of 10 JPEG frames/s, ms",
        ("part", "p50", "p90", "p99", "max"),
        *(
            (part, *(f"{np.percentile(values, share):.2f}" for share in shares))
            for part, values in parts.items()
        ),
    )


async def transport(triton: RunningTriton, models: Path, repository: Path) -> None:
    """What system shared memory saves, against gRPC."""
    frame = picture(0.0, (320, 240))[np.newaxis]
    rows = []
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        write_tiny_repository(folder, models, pose_seconds=0.0)
        fast = await stack.enter_async_context(triton_server(fetch(), folder, TritonPorts.free()))
        client = await stack.enter_async_context(InferenceServerClient(fast.grpc))
        memory = FrameMemory()
        stack.callback(memory.unlink)
        await client.register_system_shared_memory("frame", memory.key, memory.size)

        async def ask(shared: bool) -> None:
            frames = InferInput(INPUT, list(frame.shape), "UINT8")
            with memory.holding(frame) if shared else contextlib.nullcontext() as place:
                if place is None:
                    frames.set_data_from_numpy(frame)
                else:
                    frames.set_shared_memory("frame", frame.nbytes, place)
                (await client.infer(str(Task.POSE), [frames])).as_numpy(NETWORKS[Task.POSE].outputs[0])

        spent: dict[bool, list[float]] = {False: [], True: []}
        processors = {False: np.zeros(2), True: np.zeros(2)}
        for _, shared in itertools.product(range(20), (False, True)):
            usage = Usage(fast)
            for _ in range(100):
                began = time.perf_counter()
                await ask(shared)
                spent[shared].append((time.perf_counter() - began) * 1000.0)
                await asyncio.sleep(0.005)
            processors[shared] += usage.seconds()[:2]
        for shared, times in spent.items():
            used = " / ".join(f"{seconds / len(times) * 1000:.2f}" for seconds in processors[shared])
            way = "shared memory" if shared else "gRPC"
            rows.append((way, *(f"{np.percentile(times, share):.2f}" for share in (25, 50, 75, 90)), used))
        await client.unregister_system_shared_memory("frame")
    table(
        "A frame to Triton and its head back, no model, one at a time, in turns of 100, ms",
        ("way", "p25", "p50", "p75", "p90", "processor time: client / Triton"),
        *rows,
    )


async def killed(triton: RunningTriton, models: Path, repository: Path) -> None:
    """Kill -9 and a new start under six sessions."""
    jpeg = cv2.imencode(".jpg", picture(0.0, (320, 240))[:, :, ::-1])[1].tobytes()
    ports = TritonPorts.free()
    server = fetch()
    async with contextlib.AsyncExitStack() as stack:
        running = await stack.enter_async_context(triton_server(server, repository, ports))
        live = await stack.enter_async_context(live_server(models, **served_by(running)))
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


async def lean(triton: RunningTriton, models: Path, repository: Path) -> None:
    """The server's processor time a result: 8 streams of 15 frames/s, detection and pose of 5 persons."""
    rows = []
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        write_replaying_repository(folder, models, persons=5)
        replaying = await stack.enter_async_context(triton_server(fetch(), folder, TritonPorts.free()))
        for _, port in itertools.product(range(3), (0, replaying.http_port)):
            arguments = (
                "--engine",
                "triton",
                "--triton-urls",
                replaying.grpc,
                "--triton-http-port",
                str(port),
            )
            async with serving(*arguments, "--rate-hints", "false", models=models) as server:
                clients = asyncio.create_task(load("detect_and_pose", server.socket_url, 8, 15, SECONDS + 2))
                while await server.counter("results_sent_total") < 100:  # noqa: ASYNC110 - it is asked over HTTP
                    await asyncio.sleep(0.1)
                before, done = sum(server.process.cpu_times()[:2]), await server.counter("results_sent_total")
                await asyncio.sleep(SECONDS)
                spent = sum(server.process.cpu_times()[:2]) - before
                done = await server.counter("results_sent_total") - done
                await clients
            rows.append(("HTTP" if port else "gRPC", f"{done:.0f}", f"{1000 * spent / done:.2f}"))
    table("Processor time of the server a result", ("requests by", "results", "ms a result"), *rows)


async def memory(triton: RunningTriton, models: Path, repository: Path) -> None:
    """Ten minutes of four sessions: does anything grow?"""
    arguments = ("--engine", "triton", "--triton-urls", triton.grpc)
    async with serving(*arguments, models=models) as server:
        clients = asyncio.create_task(load("jpeg", server.socket_url, 4, 10, MINUTES * 60))
        processes = [server.process, psutil.Process(triton.process.pid)]
        processes += processes[1].children(recursive=True)
        rows = []
        for minute in range(MINUTES + 1):
            rows.append((minute, *(f"{process.memory_info().rss / 2**20:.0f}" for process in processes)))
            print(*rows[-1], file=sys.stderr, flush=True)
            await asyncio.sleep(60 if minute < MINUTES else 0)
        results = sum(map(len, await clients))
    names = ["server", *(process.name() for process in processes[1:])]
    table(f"Memory in MB over {MINUTES} minutes, {results} results", ("minute", *names), *rows)


MEASURES: dict[str, Callable[[RunningTriton, Path, Path], Awaitable[None]]] = {
    "batching": batching,
    "added": added,
    "transport": transport,
    "lean": lean,
    "killed": killed,
    "memory": memory,
}
USUAL = ("batching", "added", "transport", "lean", "killed")


async def main(names: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        models, repository = Path(folder) / "models", Path(folder) / "repository"
        models.mkdir()
        write_tiny_repository(
            repository, write_tiny_models(models), pose_seconds=RUN_S, pose_seconds_a_frame=FRAME_S
        )
        async with triton_server(fetch(), repository, TritonPorts.free()) as triton:
            for name in names or USUAL:
                await MEASURES[name](triton, models, repository)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1:]))
