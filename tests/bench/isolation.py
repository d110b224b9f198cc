"""What a good session keeps beside each attack: ``python -m tests.bench.isolation [pairs | NAME …]``.

A session of 10 JPEG frames a second, with detection. First a harmless process beside it takes as much of the
machine as it gets at nice 19, then an attack in a process of the same kind takes its place. Prints a Markdown
table.
``pairs`` tries all pairs of attacks; it takes an hour and a half.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import sys
import tempfile
import time
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


async def settled(server: Server, memory: float) -> int:
    """The memory when it is back under ``memory``, or after a minute."""
    for _ in range(round(2 * MEMORY_S)):
        if server.process.memory_info().rss <= memory:
            break
        await asyncio.sleep(0.5)
    return int(server.process.memory_info().rss)


async def measure(names: tuple[str, ...], models: Path) -> str:
    """One row of the table."""
    async with serving(models=models) as server:
        seen = Seen([])
        good = asyncio.create_task(good_session(server, seen))
        await asyncio.sleep(2)
        control = [await beside("harmless", server, CALM_S + SETTLE_S) for _ in names]
        await asyncio.sleep(SETTLE_S)
        calm = time.monotonic()
        await asyncio.gather(*(process.wait() for process in control))
        memory = server.process.memory_info().rss
        lag, ended = await server.buckets("event_loop_lag_seconds"), await ends(server)
        attackers = [await beside(name, server, ATTACK_S) for name in names]
        await asyncio.sleep(SETTLE_S)
        attack, peak = time.monotonic(), memory
        for _ in range(round(5 * (ATTACK_S - SETTLE_S))):
            await asyncio.sleep(0.2)
            peak = max(peak, server.process.memory_info().rss)
        over = time.monotonic()
        lag_ms = lag_p99_ms(lag, await server.buckets("event_loop_lag_seconds"))
        for process in attackers:
            await stop(process, timeout_s=2)
        left = await settled(server, 1.1 * memory)
        reasons = {
            reason: count - ended.get(reason, 0.0)
            for reason, count in (await ends(server)).items()
            if count > ended.get(reason, 0.0)
        }
        good.cancel()
        await asyncio.gather(good, return_exceptions=True)
    before, during = seen.rate(calm, calm + CALM_S), seen.rate(attack, over)
    megabytes = " → ".join(f"{value / 1e6:.0f}" for value in (memory, peak, left))
    words = ", ".join(f"{reason} {count:.0f}" for reason, count in reasons.items()) or "–"
    return (
        f"| {' + '.join(name.replace('_', ' ') for name in names)} | {before:.1f} → {during:.1f} | "
        f"{seen.age_p95(calm, calm + CALM_S):.0f} → {seen.age_p95(attack, over):.0f} | {lag_ms:g} | "
        f"{megabytes} | {words} |"
    )


async def main(arguments: list[str]) -> None:
    if arguments == ["pairs"]:
        rows = list(itertools.combinations(ATTACKS, 2))
    else:
        rows = [(name,) for name in arguments or ATTACKS]
    print("| attack | results/s | age p95 ms | loop lag p99 ms ≤ | memory MB: before, peak, after | ended |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        models = SHARED / "models"
        if not models.is_dir():
            models = write_tiny_models(Path(folder))
        for names in rows:
            print(await measure(names, models), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
