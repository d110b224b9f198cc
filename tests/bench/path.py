"""Measures the whole path: ``python -m tests.bench.path [channels|six|slow …]``, printing Markdown tables.

``slow`` takes three minutes, with tiny models, a drawn clip, and the server in this process. Else the server
runs in a process of its own, as in production.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import numpy as np
import psutil
from rich.console import Console

from mediaserver.child_process import stop
from mediaserver.cli.replay import ReplayRequest, replay
from mediaserver.client.client import Channel, InferenceClient
from signaling.messages import Result
from signaling.pipeline_config import PipelineConfig
from tests.support.clips import write_clip
from tests.support.live_server import live_server
from tests.support.slow_engine import SlowEngine
from tests.support.tiny_models import write_tiny_models

SHARED = Path(__file__).resolve().parents[3] / "shared"
"""Real models and clips, where there are any; else small ones of our own."""


class Server:
    """A server process and what can be seen of it from outside."""

    def __init__(self, process: asyncio.subprocess.Process, url: str) -> None:
        self.process = psutil.Process(process.pid)
        self.url = url

    @property
    def socket_url(self) -> str:
        return self.url.replace("http", "ws", 1) + "ws/inference"

    async def buckets(self, histogram: str) -> dict[float, float]:
        """Cumulative counts by upper bound."""
        found = re.findall(rf'mediaserver_{histogram}_bucket{{le="([^"]+)"}} (\S+)', await self._metrics())
        return {float(bound): float(count) for bound, count in found}

    async def counter(self, name: str) -> float:
        """The sum over its labels."""
        found = re.findall(rf"^mediaserver_{name}(?:{{[^}}]*}})? (\S+)$", await self._metrics(), re.MULTILINE)
        return sum(map(float, found))

    async def _metrics(self) -> str:
        async with aiohttp.ClientSession() as http, http.get(f"{self.url}metrics") as response:
            return await response.text()


@asynccontextmanager
async def serving(*arguments: str, models: Path, processor: int | None = None) -> AsyncIterator[Server]:
    command = [
        sys.executable,
        "-m",
        "mediaserver",
        "serve",
        "--port",
        "0",
        "--models",
        str(models),
        *arguments,
    ]
    if processor is not None:
        command = ["taskset", "--cpu-list", str(processor), *command]
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    assert process.stderr is not None
    try:
        url = ""
        while b" ready: " not in (line := await process.stderr.readline()):
            if not line:
                raise RuntimeError("the server did not start")
            found = re.search(r"http://\S+", line.decode())
            url = found[0] if found else url
        reading = asyncio.create_task(_read_all(process.stderr))
        yield Server(process, url)
        reading.cancel()
    finally:
        await stop(process, timeout_s=10)


async def _read_all(log: asyncio.StreamReader) -> None:
    """A pipe that nobody reads fills up, and the server's lines are lost."""
    while await log.read(65536):
        pass


async def six() -> None:
    """Six clips of 640×480 at 30 fps at once; the server has one processor, the senders the other."""
    models, clip = SHARED / "models", SHARED / "media" / "mixed.mp4"
    if len(os.sched_getaffinity(0)) > 1:
        os.sched_setaffinity(0, {1})
    async with serving(models=models, processor=0) as server:
        before = await server.buckets("event_loop_lag_seconds")
        used = server.process.cpu_times()
        began = time.monotonic()
        results = await asyncio.gather(*(play(server, clip, 20) for _ in range(6)))
        seconds = time.monotonic() - began
        after = await server.buckets("event_loop_lag_seconds")
        cpu = sum(server.process.cpu_times()[:2]) - sum(used[:2])
    counts = {bound: after[bound] - before[bound] for bound in after}
    ticks = counts[float("inf")]
    print("| session | results | results/s | wait p50 ms | wait p99 ms |\n|---|---|---|---|---|")
    for number, (_, session) in enumerate(results, 1):
        waits = [result.timing_ms["wait"] for result in session]
        print(
            f"| {number} | {len(session)} | {len(session) / seconds:.1f} | {np.percentile(waits, 50):.1f} | "
            f"{np.percentile(waits, 99):.1f} |"
        )
    late = ", ".join(
        f"over {bound * 1000:g} ms {ticks - counts[bound]:.0f}" for bound in (0.01, 0.02, 0.05, 0.1)
    )
    print(
        f"\nEvent loop: {ticks:.0f} timers, late by {late}. Server CPU {cpu / seconds:.2f} of one processor."
    )


async def slow() -> None:
    """A model ten times slower than the camera (333 ms a frame, 30 fps), for three minutes."""
    with tempfile.TemporaryDirectory() as folder:
        clip = write_clip(Path(folder) / "squares.mp4", seconds=180, size=(320, 240))
        models = write_tiny_models(Path(folder))
        memory: list[float] = []
        async with live_server(models, lambda engine: SlowEngine(engine, 10 / 30), rate_hints=False) as live:
            async with InferenceClient(live.socket_url, pipeline=PipelineConfig(pose=False)) as client:
                results = []
                async for result in client.stream(clip):
                    results.append(result)
                    if len(results) % 60 == 1:
                        memory.append(psutil.Process().memory_info().rss / 2**20)
    waits = [result.timing_ms["wait"] for result in results]
    print(
        "| results | frames dropped at the sink | age at inference start, p50 / p99 / max ms | memory, MB |"
    )
    print("|---|---|---|---|")
    ages = " / ".join(f"{np.percentile(waits, share):.1f}" for share in (50, 99, 100))
    print(
        f"| {len(results)} | {results[-1].dropped['sink']} | {ages} | "
        f"{' → '.join(f'{each:.0f}' for each in memory[:: max(1, len(memory) // 4)])} |"
    )


async def channels() -> None:
    """One clip, each way in and out: how old a result is when it comes."""
    models, clip = SHARED / "models", SHARED / "media" / "pose.mp4"
    print("| channel | models | frames sent | results/s | result age p50 / p99 ms | server CPU |")
    print("|---|---|---|---|---|---|")
    async with serving("--rate-hints", "false", models=models) as server:
        for channel in Channel:
            for stages in (("detect",), ("detect", "pose")):
                used = sum(server.process.cpu_times()[:2])
                request = ReplayRequest(clip, server.socket_url, stages, channel, duration_s=15)
                summary = await replay(request, Console(quiet=True))
                cpu = sum(server.process.cpu_times()[:2]) - used
                row = (channel, ", ".join(stages), summary.frames_sent, f"{summary.inference_fps:.1f}")
                ages = f"{summary.age_ms(50)} / {summary.age_ms(99)}"
                print(f"| {' | '.join(map(str, row))} | {ages} | {cpu / 15:.2f} |")


async def play(server: Server, clip: Path, seconds: float) -> tuple[InferenceClient, list[Result]]:
    async with InferenceClient(server.socket_url) as client:
        return client, [result async for result in client.stream(clip, seconds)]


MEASURES: dict[str, Callable[[], Awaitable[None]]] = {"channels": channels, "six": six, "slow": slow}


async def main(names: list[str]) -> None:
    for name in names or list(MEASURES):
        print(f"\n### {MEASURES[name].__doc__}\n")
        await MEASURES[name]()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
