"""Side by side with others: ``python -m tests.bench.peers --model FILE --clip FILE [PEER …]``.

One model, one clip and one client for every server, one after the other, in one run: rates and ages hold for
the machine and the hour, so what counts are ratios. Prints a Markdown table. The others live in virtual
environments of their own, which are made where they are missing.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import os
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import numpy as np
import psutil

from mediaserver.child_process import free_ports, stop, wait_until_ready
from tests.bench.environment import interpreter
from tests.bench.peers.clip import Clip
from tests.bench.peers.sessions import Session, serve_jpeg, serve_webrtc
from tests.support.impairment import Impairment, ImpairmentRelay

HERE = Path(__file__).parent
PEERS = {
    "ours": None,
    "ours, 2 workers": None,
    "aiortc loop": ("fastapi", "aiortc_latest.py"),
    "FastAPI, JPEG": ("fastapi", "fastapi_jpeg.py"),
    "fastrtc": ("fastrtc", "fastrtc_app.py"),
}
"""By name: the environment and the program; ours is the server itself."""
SETTLE_S, LOSS, DELAY_S = 2.5, 0.02, 0.025


@dataclass(frozen=True, slots=True)
class Row:
    """What was seen of one server with so many sessions."""

    rates: list[float]
    ages_ms: np.ndarray
    longest_gap_s: float
    processors: float
    memory_mb: float

    def cells(self) -> tuple[str, ...]:
        p50, p99 = np.percentile(self.ages_ms, (50, 99)) if len(self.ages_ms) else (np.nan, np.nan)
        mean = sum(self.rates) / len(self.rates)
        spread = (max(self.rates) - min(self.rates)) / mean if mean else np.nan
        a_result = self.processors * 1000.0 / sum(self.rates) if sum(self.rates) else np.nan
        return (
            *(f"{mean:.1f}", f"{100 * spread:.0f} %", f"{p50:.0f} / {p99:.0f}"),
            *(f"{1000 * self.longest_gap_s:.0f}",),
            *(f"{self.processors:.2f}", f"{a_result:.1f}", f"{self.memory_mb:.0f}"),
        )


@contextlib.asynccontextmanager
async def serving(peer: str, model: Path, *, loss: bool) -> AsyncIterator[tuple[psutil.Process, str]]:
    """The server in a process of its own, ready, and its address."""
    [port] = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    program = PEERS[peer]
    if program is None:
        workers = ("--workers", "2") if peer.endswith("workers") else ()
        loopback = ("--ice-interfaces", "127.0.0.1") if loss else ()  # where the relay is
        options = ("--detect-model", str(model), "--port", str(port), "--log-level", "warning")
        command: tuple[object, ...] = (
            sys.executable,
            "-m",
            "mediaserver",
            "serve",
            *options,
            *workers,
            *loopback,
        )
    else:
        command = (interpreter(program[0]), HERE / "servers" / program[1], port)
    environment = os.environ | {"MODEL": str(model), "OPENBLAS_NUM_THREADS": "1"}
    process = await asyncio.create_subprocess_exec(
        *map(str, command), env=environment, stderr=asyncio.subprocess.DEVNULL, start_new_session=True
    )
    try:
        await wait_until_ready(process, url + ("/readyz" if program is None else "/ready"), 60)
        yield psutil.Process(process.pid), url
    finally:
        await stop(process, timeout_s=10, group=True)


async def measured(peer: str, model: Path, clip: Clip, count: int, seconds: float, *, loss: bool) -> Row:
    async with contextlib.AsyncExitStack() as stack:
        process, url = await stack.enter_async_context(serving(peer, model, loss=loss))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        relay = None
        if loss:
            impaired = Impairment(delay=DELAY_S, loss=LOSS), Impairment(delay=DELAY_S)
            relay = await stack.enter_async_context(ImpairmentRelay(*impaired, seed=7))
        sessions = [
            await stack.enter_async_context(
                serve_jpeg(http, url, clip)
                if peer == "FastAPI, JPEG"
                else serve_webrtc(http, url, clip, peer, relay)
            )
            for _ in range(count)
        ]
        await asyncio.sleep(SETTLE_S)
        began, used = time.perf_counter(), _usage(process)[0]
        await asyncio.sleep(seconds)
        ended, (now_used, memory) = time.perf_counter(), _usage(process)
        return _row(sessions, began, ended, (now_used - used) / (ended - began), memory)


def _row(sessions: list[Session], began: float, ended: float, processors: float, memory_mb: float) -> Row:
    within = [[(at, frame) for at, frame in each.results if began <= at < ended] for each in sessions]
    ages = [
        at - session.sent[frame]
        for session, results in zip(sessions, within, strict=True)
        for at, frame in results
    ]
    gaps = [
        later - earlier
        for results in within
        for earlier, later in itertools.pairwise([began, *(at for at, _ in results), ended])
    ]
    # Who repeats a frame has not looked at another one.
    rates = [len({frame for _, frame in results}) / (ended - began) for results in within]
    return Row(rates, 1000 * np.array(ages), max(gaps), processors, memory_mb)


def _usage(process: psutil.Process) -> tuple[float, float]:
    """Processor seconds and resident MB of a process and its children."""
    family = [process, *process.children(recursive=True)]
    seconds = sum(sum(each.cpu_times()[:2]) for each in family)
    return seconds, sum(each.memory_info().rss for each in family) / 1e6


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.peers")
    parser.add_argument("peers", nargs="*", default=list(PEERS), metavar="PEER", help=", ".join(PEERS))
    parser.add_argument("--model", type=Path, required=True, help="an Ultralytics detector at 320×256, ONNX")
    parser.add_argument("--clip", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=15.0)
    asked = parser.parse_args()
    clip = Clip.of(asked.clip)
    names = (
        *("results/s each", "spread", "age p50 / p99, ms", "longest gap, ms"),
        *("processors", "ms a result", "MB"),
    )
    print("| server | sessions | " + " | ".join(names) + " |\n" + "|---" * (len(names) + 2) + "|")
    for count, loss in ((1, False), (4, False), (1, True)):
        for peer in asked.peers:
            if loss and peer == "FastAPI, JPEG":
                continue  # TCP, which sends again
            row = await measured(peer, asked.model, clip, count, asked.seconds, loss=loss)
            what = f"{count}, 2 % loss" if loss else str(count)
            print(f"| {peer} | {what} | " + " | ".join(row.cells()) + " |", flush=True)


asyncio.run(main())
