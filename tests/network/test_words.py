"""What the user is told of the network: what is so, and nothing else."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.network.chromium_client import chromium_client
from tests.network.python_client import PythonClient, python_client
from tests.network.server import server_on
from tests.network.stage import Carried, Stage
from tests.support.waiting import eventually

WATCHED_S = 12.0
BLOCKED = "UDP is blocked"
LOST = "video gets no way over UDP any more"
BACK = "video goes over WebRTC again"


def told(client: PythonClient, words: str) -> bool:
    return any(notice.startswith(words) for notice in client.notices)


async def test_of_a_network_that_is_well_nothing_is_told(
    link: Stage, tiny_models: Path, camera_clip: Path
) -> None:
    async with (
        server_on(link, tiny_models) as live,
        python_client(link, live.socket_url, camera_clip, 28) as client,
    ):
        await eventually(lambda: client.results, 20)
        await asyncio.sleep(WATCHED_S)
        assert client.notices == []


async def test_udp_that_is_blocked_from_the_start_is_told_and_when_it_opens(
    link: Stage, tiny_models: Path, camera_clip: Path
) -> None:
    link.cut(Carried.UDP)
    async with (
        server_on(link, tiny_models) as live,
        python_client(link, live.socket_url, camera_clip, 28) as client,
    ):
        await eventually(lambda: told(client, BLOCKED), 15)
        link.heal()
        await eventually(lambda: told(client, BACK), 15)
        assert len(client.notices) == 2


async def test_udp_that_gets_lost_is_not_called_blocked(
    link: Stage, tiny_models: Path, camera_clip: Path
) -> None:
    async with (
        server_on(link, tiny_models) as live,
        python_client(link, live.socket_url, camera_clip, 40) as client,
    ):
        await eventually(lambda: client.results, 20)
        await asyncio.sleep(2)
        link.cut(Carried.UDP)
        await eventually(lambda: told(client, LOST), 15)
        link.heal()
        await eventually(lambda: told(client, BACK), 15)
        assert not told(client, BLOCKED)


async def test_of_udp_nothing_is_told_while_the_whole_network_is_away(
    link: Stage, tiny_models: Path, camera_clip: Path
) -> None:
    async with (
        server_on(link, tiny_models) as live,
        python_client(link, live.socket_url, camera_clip, 28) as client,
    ):
        await eventually(lambda: client.results, 20)
        await asyncio.sleep(2)
        link.cut()
        await asyncio.sleep(7)
        link.heal()
        before = len(client.results)
        await eventually(lambda: len(client.results) > before + 20, 15)
        await asyncio.sleep(4)
        assert client.notices == []


async def test_so_it_is_in_chromium(link: Stage, tiny_models: Path, browser_clip: Path) -> None:
    async with (
        server_on(link, tiny_models) as live,
        chromium_client(link, live.http_url, browser_clip) as client,
    ):
        await asyncio.sleep(8)
        assert set((await client.seen())["notices"]) == {"none"}, "the network is well"
        link.cut()
        await asyncio.sleep(7)
        link.heal()
        await asyncio.sleep(6)
        assert "blocked" not in (await client.seen())["notices"], "it was away as a whole"
        link.cut(Carried.UDP)
        await client.is_told("blocked", 25)  # the way of before is waited for, then another one
        link.heal()
        await client.is_told("none", 25)


async def test_chromium_tells_that_udp_is_blocked_from_the_start(
    link: Stage, tiny_models: Path, browser_clip: Path
) -> None:
    link.cut(Carried.UDP)
    async with (
        server_on(link, tiny_models) as live,
        chromium_client(link, live.http_url, browser_clip) as client,
    ):
        await client.is_told("blocked", 10)
        link.heal()
        await client.is_told("none", 25)
