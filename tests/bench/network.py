"""Measures bad networks: ``python -m tests.bench.network``, as root, prints a Markdown table in five minutes.

The Python client plays a drawn room behind a router that is narrow, or lets nothing through for a while.
The models are tiny ones. No result can be younger than half the round trip and what the frame takes to cross
the narrowest link.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mediaserver.client.channel import Channel
from tests.network.arrivals import ages, longest_gap, now
from tests.network.camera import write_camera_recording
from tests.network.python_client import PythonClient, python_client
from tests.network.server import server_on
from tests.network.stage import Carried, Stage, stage
from tests.support.tiny_models import write_tiny_models
from tests.support.waiting import eventually

SETTLING_S = 3.0
WATCHED_S = 10.0


class Case(NamedTuple):
    words: str
    channel: Channel
    begin: Callable[[Stage], None]
    seconds: float
    limit: str
    """Of physics, for the age or the gap."""


def _frame_limit(kbit: int, kilobytes: float) -> str:
    return f"{8 * kilobytes / kbit:.2f} s a frame of {kilobytes:g} kB"


CASES = (
    Case(
        "150 kbit/s up",
        Channel.JPEG,
        partial(Stage.narrow, up_kbit=150),
        WATCHED_S,
        _frame_limit(150, 6),
    ),
    *(
        Case(
            f"{kbit} kbit/s up",
            Channel.DATACHANNEL,
            partial(Stage.narrow, up_kbit=kbit),
            WATCHED_S,
            _frame_limit(kbit, 1.3),
        )
        for kbit in (150, 80, 50)
    ),
    Case(
        "40 kbit/s down",
        Channel.DATACHANNEL,
        partial(Stage.narrow, down_kbit=40),
        WATCHED_S,
        "0.15 s a result of 0.75 kB",
    ),
    *(
        Case(
            f"{words} away for {seconds:g} s",
            channel,
            partial(Stage.cut, carried=carried),
            seconds,
            f"gap of {least:g} s",
        )
        for words, carried, seconds, channel, least in (
            ("TCP", Carried.TCP, 6.0, Channel.DATACHANNEL, 0),
            ("TCP", Carried.TCP, 6.0, Channel.WEBSOCKET, 6),
            ("UDP", Carried.UDP, 15.0, Channel.DATACHANNEL, 0),
            ("all", Carried.ALL, 3.0, Channel.DATACHANNEL, 3),
            ("all", Carried.ALL, 8.0, Channel.DATACHANNEL, 8),
            ("all", Carried.ALL, 8.0, Channel.JPEG, 8),
        )
    ),
)


@asynccontextmanager
async def playing(folder: Path, clip: Path, channel: Channel) -> AsyncIterator[tuple[Stage, PythonClient]]:
    with stage(folder) as link:
        async with (
            server_on(link, write_tiny_models(folder)) as live,
            python_client(link, live.socket_url, clip, 40, channel) as client,
        ):
            await eventually(lambda: client.results, 30)
            await asyncio.sleep(SETTLING_S)
            yield link, client


async def measure(case: Case, folder: Path, clip: Path) -> str:
    async with playing(folder, clip, case.channel) as (link, client):
        begin = now()
        case.begin(link)
        await asyncio.sleep(case.seconds)
        link.heal()
        link.narrow()
        healed = now()
        await asyncio.sleep(SETTLING_S)
        first = next(each.at for each in client.results if each.at > healed) - healed
        seen = ages(client.results, begin, healed + SETTLING_S)
        gap = longest_gap(client.results, begin, healed + SETTLING_S)
    age = f"{np.percentile(seen, 50):.2f} / {seen[-1]:.2f}"
    return f"| {case.words} | {case.channel} | {len(seen)} | {age} | {gap:.2f} | {first:.2f} | {case.limit} |"


async def main() -> None:
    print("| network | channel | results | age p50 / max s | longest gap s | first after heal s | limit |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        clip = write_camera_recording(Path(folder) / "room.mp4", 45)
        for case in CASES:
            print(await measure(case, Path(folder), clip), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
