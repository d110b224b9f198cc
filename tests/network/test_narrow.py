"""Narrow links: results stay young, and the user is told."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from mediaserver.client.channel import Channel
from tests.network.arrivals import ages, longest_gap, now
from tests.network.chromium_client import chromium_client
from tests.network.python_client import python_client
from tests.network.server import server_on
from tests.network.stage import Stage
from tests.support.waiting import eventually

SETTLING_S = 5.0
WATCHED_S = 12.0


async def test_jpeg_frames_do_not_queue_behind_each_other(
    link: Stage, tiny_models: Path, camera_clip: Path
) -> None:
    link.narrow(up_kbit=150)
    async with (
        server_on(link, tiny_models) as live,
        python_client(link, live.socket_url, camera_clip, 28, Channel.JPEG) as client,
    ):
        await eventually(lambda: client.results, 20)
        await asyncio.sleep(SETTLING_S)
        begin = now()
        await asyncio.sleep(WATCHED_S)
        seen = ages(client.results, begin, now())
        assert len(seen) > 2 * WATCHED_S
        assert seen[-1] < 1.5
        assert longest_gap(client.results, begin, now()) < 1.5
        assert any("too narrow" in words for words in client.notices)


async def test_the_page_does_not_queue_jpeg_frames_either(
    link: Stage, tiny_models: Path, browser_clip: Path
) -> None:
    link.narrow(up_kbit=150)
    async with (
        server_on(link, tiny_models) as live,
        chromium_client(link, live.http_url, browser_clip, block_webrtc=True) as client,
    ):
        await asyncio.sleep(SETTLING_S)
        begin = now()
        await asyncio.sleep(WATCHED_S)
        seen = await client.seen()
        found = ages(seen["results"], begin, now())
        assert len(found) > 2 * WATCHED_S
        assert found[-1] < 1.5
        assert "narrow" in seen["notices"]


@pytest.mark.parametrize("kbit", [150, 80, 50])
async def test_python_video_fits_what_the_link_carries(
    link: Stage, tiny_models: Path, camera_clip: Path, kbit: int
) -> None:
    async with (
        server_on(link, tiny_models) as live,
        python_client(link, live.socket_url, camera_clip, 28) as client,
    ):
        await eventually(lambda: client.results, 20)
        link.narrow(up_kbit=kbit)
        await asyncio.sleep(SETTLING_S)
        begin = now()
        await asyncio.sleep(WATCHED_S)
        seen = ages(client.results, begin, now())
        assert len(seen) > WATCHED_S
        assert longest_gap(client.results, begin, now()) < 3.0
        assert any("too narrow" in words for words in client.notices)


async def test_results_do_not_queue_on_the_way_down(
    link: Stage, tiny_models: Path, camera_clip: Path
) -> None:
    async with (
        server_on(link, tiny_models) as live,
        python_client(link, live.socket_url, camera_clip, 28) as client,
    ):
        await eventually(lambda: client.results, 20)
        link.narrow(down_kbit=40)
        await asyncio.sleep(SETTLING_S)
        begin = now()
        await asyncio.sleep(WATCHED_S / 2)
        seen = ages(client.results, begin, now())
        assert len(seen) > WATCHED_S / 2
        assert seen[-1] < 1.5
        healed = now()
        link.narrow()
        await eventually(lambda: client.results[-1].at > healed, 3)
        assert longest_gap(client.results, healed, now()) < 1.0
