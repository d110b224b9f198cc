"""Networks that go away and come back, as a whole or in part."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import NamedTuple

import pytest

from mediaserver.client.channel import Channel
from tests.network.arrivals import longest_gap, now
from tests.network.chromium_client import chromium_client
from tests.network.python_client import python_client
from tests.network.server import server_on
from tests.network.stage import Carried, Stage
from tests.support.waiting import eventually

SETTLING_S = 2.0


class Outage(NamedTuple):
    carried: Carried
    seconds: float
    channel: Channel
    longest_s: float
    """Without results."""


async def interrupt(link: Stage, outage: Outage) -> float:
    """Returns when the link has healed: the time when it was cut."""
    begin = now()
    link.cut(outage.carried)
    await asyncio.sleep(outage.seconds)
    link.heal()
    return begin


@pytest.mark.parametrize(
    "outage",
    [
        Outage(Carried.TCP, 6.0, Channel.DATACHANNEL, 1.0),
        Outage(Carried.TCP, 6.0, Channel.WEBSOCKET, 7.5),
        Outage(Carried.UDP, 8.0, Channel.DATACHANNEL, 4.0),
        Outage(Carried.ALL, 3.0, Channel.DATACHANNEL, 4.0),
        Outage(Carried.ALL, 8.0, Channel.DATACHANNEL, 9.0),
        Outage(Carried.ALL, 8.0, Channel.JPEG, 9.5),
    ],
    ids=str,
)
async def test_results_are_back_as_soon_as_the_network_is(
    link: Stage, tiny_models: Path, camera_clip: Path, outage: Outage
) -> None:
    async with (
        server_on(link, tiny_models) as live,
        python_client(link, live.socket_url, camera_clip, 28, outage.channel) as client,
    ):
        await eventually(lambda: client.results, 20)
        await asyncio.sleep(SETTLING_S)
        begin = await interrupt(link, outage)
        healed = now()
        await eventually(lambda: client.results[-1].at > healed + 0.5, 5)
        gap = longest_gap(client.results, begin, now())
        print(
            f"{outage.carried.name} away for {outage.seconds:g} s, {outage.channel}: longest gap {gap:.2f} s"
        )
        assert gap < outage.longest_s
        await eventually(lambda: live.metric("sessions_live") == 1, 2)
        assert live.metric("sessions_started_total") == 1, "the session is the one of before"


@pytest.mark.parametrize(
    "outage",
    [
        Outage(Carried.TCP, 6.0, Channel.DATACHANNEL, 1.0),
        Outage(Carried.UDP, 8.0, Channel.DATACHANNEL, 4.0),
        Outage(Carried.ALL, 8.0, Channel.DATACHANNEL, 9.0),
    ],
    ids=str,
)
async def test_so_they_are_in_chromium(
    link: Stage, tiny_models: Path, browser_clip: Path, outage: Outage
) -> None:
    async with (
        server_on(link, tiny_models) as live,
        chromium_client(link, live.http_url, browser_clip) as client,
    ):
        await asyncio.sleep(SETTLING_S)
        begin = await interrupt(link, outage)
        await asyncio.sleep(3)
        seen = await client.seen()
        gap = longest_gap(seen["results"], begin, now())
        print(f"Chromium, {outage.carried.name} away for {outage.seconds:g} s: longest gap {gap:.2f} s")
        assert gap < outage.longest_s
        assert live.metric("sessions_started_total") == 1


async def test_what_chromium_asked_to_be_read_comes_though_its_socket_is_lost(
    link: Stage, tiny_models: Path, browser_clip: Path
) -> None:
    async with (
        server_on(link, tiny_models) as live,
        chromium_client(link, live.http_url, browser_clip) as client,
    ):
        for expected in ([1], [1, 2], [1, 2, 3]):
            await client.page.evaluate("client.trigger()")
            await asyncio.sleep(0.05)
            await interrupt(link, Outage(Carried.TCP, 4.0, Channel.DATACHANNEL, 0.0))
            async with asyncio.timeout(15):
                while (await client.seen())["texts"] != expected:  # noqa: ASYNC110 - it is over there
                    await asyncio.sleep(0.2)
