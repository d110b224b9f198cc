"""What a good session keeps beside each attack: ``python -m tests.bench.isolation [pairs | NAME …]``.

A session of 10 JPEG frames a second, with detection. First a harmless process beside it takes as much of the
machine as it gets at nice 19, then an attack in a process of the same kind takes its place. Prints a Markdown
table.
``pairs`` tries two at once, of one attack of each kind; it takes ten minutes.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import cv2
import numpy as np

from mediaserver.child_process import stop
from signaling.jpeg import with_capture_time
from tests.bench.path import SHARED, Server, serving
from tests.support.attacks import ATTACKS
from tests.support.tiny_models import write_tiny_models

CALM_S, ATTACK_S, SETTLE_S = 6.0, 10.0, 1.5
FRAMES_PER_S = 10.0
MEMORY_S = 60.0
OF_EACH_KIND = (
    "fragments_of_a_message_without_end",
    "keyframes_that_never_end",
    "large_keyframes",
    "sockets_without_hello",
    "reconnects",
    "slow_readers",
    "jpeg_4096_gray",
    "jpeg_4096_progressive",
    "ocr_dense_text",
    "offers_again_and_again",
)


@dataclass
class Seen:
    """What came back to the good session, and how old it was in milliseconds."""

    results: list[tuple[float, float]]

    def rate(self, begin: float, end: float) -> float:
        return sum(begin <= at < end for at, _ in self.results) / (end - begin)

    def age_p95(self, begin: float, end: float) -> float:
        ages = [age for at, age in self.results if begin <= at < end]
        return float(np.percentile(ages, 95)) if ages else float("nan")


async def good_session(server: Server, seen: Seen) -> None:
    jpeg = bytes(cv2.imencode(".jpg", np.full((240, 320, 3), 90, np.uint8))[1])
    async with aiohttp.ClientSession() as http, http.ws_connect(server.socket_url) as socket:
        hello = {"type": "hello", "channel": "websocket", "pipeline": {"pose": False, "ocr": False}}
        await socket.send_json(hello)

        async def send() -> None:
            due = time.monotonic()
            while True:
                await socket.send_bytes(with_capture_time(jpeg, time.time() * 1000))
                due = max(due + 1 / FRAMES_PER_S, time.monotonic())
                await asyncio.sleep(due - time.monotonic())

        sending = asyncio.create_task(send())
        try:
            async for message in socket:
                content = message.json()
                if content["type"] == "result":
                    age = time.time() * 1000 - content["frame"]["capture_time_ms"]
                    seen.results.append((time.monotonic(), age))
        finally:
            sending.cancel()


async def beside(name: str, server: Server, seconds: float) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.attacks", name, server.socket_url, str(seconds)),
        stderr=asyncio.subprocess.DEVNULL,
        preexec_fn=lambda: os.nice(19),
    )


def lag_p99_ms(before: dict[float, float], after: dict[float, float]) -> float:
    """The bound of the bucket that it lies in."""
    counts = {bound: after[bound] - before.get(bound, 0.0) for bound in sorted(after)}
    total = counts[float("inf")]
    return next((1000 * bound for bound, count in counts.items() if count >= 0.99 * total), float("inf"))


async def ends(server: Server) -> dict[str, float]:
    async with aiohttp.ClientSession() as http, http.get(f"{server.url}metrics") as response:
        text = await response.text()
    found = re.findall(r'mediaserver_connections_ended_total\{reason="(\w+)"\} (\S+)', text)
    return {reason: float(count) for reason, count in found}


async def settled(server: Server, memory: float, within_s: float) -> int:
    """The memory when it is back under ``memory``, or after so long."""
    for _ in range(round(2 * within_s)):
        if server.process.memory_info().rss <= memory:
            break
        await asyncio.sleep(0.5)
    return int(server.process.memory_info().rss)


@dataclass
class Watched:
    """A server, and the good session on it. ``calm`` is what that had beside harmless processes."""

    server: Server
    seen: Seen
    calm: tuple[float, float] = (0.0, 0.0)
    memory: int = 0

    async def rest(self, processes: int) -> None:
        """Takes the figures beside so many harmless processes."""
        control = [await beside("harmless", self.server, CALM_S + SETTLE_S) for _ in range(processes)]
        await asyncio.sleep(SETTLE_S)
        began = time.monotonic()
        await asyncio.gather(*(process.wait() for process in control))
        self.calm = self.figures(began, began + CALM_S)
        self.memory = self.server.process.memory_info().rss

    async def attack(self, names: tuple[str, ...], memory_s: float) -> str:
        """One row of the table."""
        lag, ended = await self.server.buckets("event_loop_lag_seconds"), await ends(self.server)
        attackers = [await beside(name, self.server, ATTACK_S) for name in names]
        await asyncio.sleep(SETTLE_S)
        began, peak = time.monotonic(), self.memory
        for _ in range(round(5 * (ATTACK_S - SETTLE_S))):
            await asyncio.sleep(0.2)
            peak = max(peak, self.server.process.memory_info().rss)
        during = self.figures(began, time.monotonic())
        lag_ms = lag_p99_ms(lag, await self.server.buckets("event_loop_lag_seconds"))
        for process in attackers:
            await stop(process, timeout_s=2)
        left = await settled(self.server, 1.1 * self.memory, memory_s)
        reasons = {
            reason: count - ended.get(reason, 0.0)
            for reason, count in (await ends(self.server)).items()
            if count > ended.get(reason, 0.0)
        }
        megabytes = " → ".join(f"{value / 1e6:.0f}" for value in (self.memory, peak, left))
        words = ", ".join(f"{reason} {count:.0f}" for reason, count in reasons.items()) or "–"
        return (
            f"| {' + '.join(name.replace('_', ' ') for name in names)} "
            f"| {self.calm[0]:.1f} → {during[0]:.1f} | {self.calm[1]:.0f} → {during[1]:.0f} | {lag_ms:g} "
            f"| {megabytes} | {words} |"
        )

    def figures(self, begin: float, end: float) -> tuple[float, float]:
        """Results a second, and the 95th percentile of their age in milliseconds."""
        return self.seen.rate(begin, end), self.seen.age_p95(begin, end)


@asynccontextmanager
async def watched(models: Path) -> AsyncIterator[Watched]:
    async with serving(models=models) as server:
        seen = Seen([])
        good = asyncio.create_task(good_session(server, seen))
        try:
            await asyncio.sleep(2)
            yield Watched(server, seen)
        finally:
            good.cancel()
            await asyncio.gather(good, return_exceptions=True)


async def alone(name: str, models: Path) -> None:
    async with watched(models) as watch:
        await watch.rest(processes=1)
        print(await watch.attack((name,), MEMORY_S), flush=True)


async def in_pairs(models: Path) -> None:
    """On one server for each first attack: so the minute for the memory is waited once."""
    for first, *others in (OF_EACH_KIND[index:] for index in range(len(OF_EACH_KIND) - 1)):
        async with watched(models) as watch:
            await watch.rest(processes=2)
            for other in others:
                print(await watch.attack((first, other), memory_s=0), flush=True)
            left = await settled(watch.server, 1.1 * watch.memory, MEMORY_S)
            print(
                f"| (after all of these) | | | | {watch.memory / 1e6:.0f} → {left / 1e6:.0f} | |", flush=True
            )


async def main(arguments: list[str]) -> None:
    print("| attack | results/s | age p95 ms | loop lag p99 ms ≤ | memory MB: before, peak, after | ended |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        models = SHARED / "models"
        if not models.is_dir():
            models = write_tiny_models(Path(folder))
        if arguments == ["pairs"]:
            await in_pairs(models)
            return
        for name in arguments or ATTACKS:
            await alone(name, models)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
