"""What sessions keep while a Triton gets slower: ``python -m tests.bench.giving_way``, five minutes.

Prints a Markdown table and the times of all changes. Detection and pose share one device, which takes as long
for a frame as the table says; 2 sessions send 15 JPEG frames a second each.
"""

from __future__ import annotations

import asyncio
import itertools
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import uvloop

from mediaserver.models.local_triton import TritonPorts, fetch, triton_server
from tests.support.clips import picture
from tests.support.jpeg_client import JpegClient, jpeg_client
from tests.support.live_server import live_server, served_by
from tests.support.tiny_models import write_tiny_models
from tests.support.triton_models import write_paced_repository

PACES_MS = (5, 30, 45, 80)
SETTLE_S, MEASURE_S, RETURN_S = 30.0, 10.0, 120.0


def seen(clients: list[JpegClient], before: list[int], seconds: float) -> tuple[str, str]:
    """The least of the sessions' results a second, and the ages of all, p50 and p99."""
    new = [client.results[start:] for client, start in zip(clients, before, strict=True)]
    ages = [result["timing_ms"]["total"] for results in new for result in results]
    p50, p99 = np.percentile(ages, (50, 99))
    return f"{min(map(len, new)) / seconds:.1f}", f"{p50:.0f} / {p99:.0f}"


async def watch_changes(client: JpegClient, changes: list[tuple[float, list[str]]]) -> None:
    began = time.monotonic()
    while True:
        told = len(client.degraded)
        await asyncio.sleep(0.02)
        changes += [(time.monotonic() - began, each) for each in client.degraded[told:]]


async def main(folder: Path) -> None:
    pace = folder / "pace"
    pace.write_text("0.001")
    repository = write_paced_repository(folder / "repository", write_tiny_models(folder), pace)
    jpeg = bytes(cv2.imencode(".jpg", picture(0.0, (320, 240)))[1])
    asked = {"detect": True, "pose": True, "flow": True, "interval_s": 1 / 15}
    changes: list[tuple[float, list[str]]] = []
    async with (
        triton_server(fetch(), repository, TritonPorts.free()) as triton,
        live_server(folder, rate_hints=False, **served_by(triton)) as live,
        jpeg_client(live, jpeg, **asked) as first,
        jpeg_client(live, jpeg, **asked) as second,
    ):
        clients = [first, second]
        watching = asyncio.create_task(watch_changes(first, changes))
        print("| ms a frame | gave way | new sessions | results/s, worst session | age p50 / p99, ms |")
        print("|---|---|---|---|---|", flush=True)
        for milliseconds in PACES_MS:
            pace.write_text(str(milliseconds / 1000))
            await asyncio.sleep(SETTLE_S)
            before = [len(client.results) for client in clients]
            await asyncio.sleep(MEASURE_S)
            given = ", ".join(first.degraded[-1] if first.degraded else []) or "nothing"
            refusal = live.server.refusal()
            taken = "taken" if refusal is None else refusal.reason
            cells = (milliseconds, given, taken, *seen(clients, before, MEASURE_S))
            print("| " + " | ".join(map(str, cells)) + " |", flush=True)
        pace.write_text("0.001")
        await asyncio.sleep(RETURN_S)
        watching.cancel()
    print()
    for at, given in changes:
        print(f"{at:.0f} s: {', '.join(given) or 'nothing'}")
    gaps = [later - earlier for (earlier, _), (later, _) in itertools.pairwise(changes)]
    print(f"least time between two changes: {min(gaps):.1f} s")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        uvloop.run(main(Path(name)))
