"""Measures the way through nginx: ``python -m tests.bench.gateway [arguments of mediaserver serve]``.

Twenty clips of 320×240 at 10 fps at once over TLS, from one process, to a server with small models in a
process of its own. Prints a Markdown table.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import numpy as np

from mediaserver.client.client import InferenceClient
from tests.bench.path import serving
from tests.support.clips import write_clip
from tests.support.gateway import Gateway, gateway
from tests.support.tiny_models import write_tiny_models

_COUNT = 20
_SECONDS = 20


class Replay(msgspec.Struct, frozen=True):
    """What one client saw. ``ages_ms``: of each result when it came, from the capture of its frame."""

    sent: int
    results: int
    ages_ms: list[float]


async def send(front: Gateway, clip: Path, count: int) -> list[Replay]:
    """Plays the clip ``count`` times at once, in a process that trusts this gateway's certificate."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench.gateway", "send", front.socket_url, str(clip), str(count)),
        env={**os.environ, "SSL_CERT_FILE": str(front.certificate)},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    return msgspec.json.decode(output, type=list[Replay])


async def _play(url: str, clip: str) -> Replay:
    ages_ms = []
    async with InferenceClient(url) as client:
        async for result in client.stream(clip):
            if result.frame.capture_time_ms is not None and not result.frame.capture_time_estimated:
                ages_ms.append(time.time() * 1000 - result.frame.capture_time_ms)
        return Replay(client.stats.frames_sent, client.stats.results, ages_ms)


async def _play_all(url: str, clip: str, count: int) -> None:
    replays = await asyncio.gather(*(_play(url, clip) for _ in range(count)))
    sys.stdout.buffer.write(msgspec.json.encode(replays))


async def main(arguments: list[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clip = write_clip(folder / "squares.mp4", seconds=_SECONDS, fps=10, size=(320, 240))
        async with serving(*arguments, models=write_tiny_models(folder)) as server:
            port = urlsplit(server.url).port
            assert port is not None
            async with gateway(folder, [port], sessions_an_address=_COUNT) as front:
                replays = await send(front, clip, _COUNT)
    rates = sorted(replay.results / _SECONDS for replay in replays)
    ages_ms = [age for replay in replays for age in replay.ages_ms]
    row = (
        len(replays),
        sum(replay.results == 0 for replay in replays),
        sum(replay.sent for replay in replays),
        f"{rates[0]:.1f} / {np.median(rates):.1f} / {rates[-1]:.1f}",
        f"{np.percentile(ages_ms, 50):.0f} / {np.percentile(ages_ms, 99):.0f}",
    )
    print(
        "| clips | without results | frames sent | results/s each, least / median / most | age p50 / p99 ms |"
    )
    print("|---|---|---|---|---|")
    print(f"| {' | '.join(map(str, row))} |")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["send", url, clip, count]:
            asyncio.run(_play_all(url, clip, int(count)))
        case arguments:
            asyncio.run(main(arguments))
