"""Losses, NATs that forget, a server that stands still."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mediaserver.client.channel import Channel
from mediaserver.client.client import InferenceClient
from tests.network.arrivals import Arrival, ages, longest_gap, now
from tests.support.clips import write_clip
from tests.support.impaired_socket import through
from tests.support.impairment import RELAY_INTERFACES, Impairment, ImpairmentRelay
from tests.support.live_server import live_server
from tests.support.server_process import server_process
from tests.support.waiting import eventually


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clips") / "long.mp4", seconds=25, size=(320, 240))


async def play(url: str, clip: Path, results: list[Arrival], notices: list[str]) -> None:
    """Notes results as they come, until cancelled, and what is told."""
    async with InferenceClient(url, channel=Channel.DATACHANNEL, on_notice=notices.append) as client:
        async for result in client.stream(clip):
            sent_s = client.timeline.locate(result.frame)
            age_s = None if sent_s is None else client.position_s - sent_s
            results.append(Arrival(now(), age_s, result.seq))


@contextlib.asynccontextmanager
async def playing(url: str, clip: Path, notices: list[str] | None = None) -> AsyncIterator[list[Arrival]]:
    """The results of a client, some of which have come when this is entered; ``notices`` gets what it
    tells."""
    results: list[Arrival] = []
    task = asyncio.create_task(play(url, clip, results, [] if notices is None else notices))
    try:
        await eventually(lambda: len(results) > 20, 20)
        yield results
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_of_every_fifth_packet_lost_results_stay_young(tiny_models: Path, long_clip: Path) -> None:
    lossy = Impairment(loss=0.2, delay=0.02, media_only=False)
    relay = ImpairmentRelay(seed=5)
    async with (
        live_server(tiny_models, ice_interfaces=RELAY_INTERFACES) as live,
        relay,
        through(relay, live.socket_url) as url,
        playing(url, long_clip) as results,
    ):
        relay.uplink.impairment = relay.downlink.impairment = lossy
        begin = now()
        await asyncio.sleep(12)
        seen = ages(results, begin, now())
        assert relay.downlink.lost > 20
        assert len(seen) > 20
        print(f"a fifth lost both ways: {len(seen)} results in 12 s, {seen[-1]:.2f} s old at most")
        assert seen[-1] < 1.0
    numbers = [result.seq for result in results]
    assert numbers == sorted(set(numbers)), "each is newer than the one before"


async def test_results_follow_a_client_whose_nat_forgot_it(tiny_models: Path, long_clip: Path) -> None:
    relay = ImpairmentRelay()
    async with (
        live_server(tiny_models, ice_interfaces=RELAY_INTERFACES) as live,
        relay,
        through(relay, live.socket_url) as url,
        playing(url, long_clip) as results,
    ):
        before = live.metric("results_sent_total", channel="datachannel")
        begin = now()
        await relay.rebind()
        await asyncio.sleep(6)
        assert longest_gap(results, begin, now()) < 3.0
        assert live.metric("results_sent_total", channel="datachannel") > before + 30


async def test_nobody_is_ended_for_a_pause_of_the_server(tiny_models: Path, long_clip: Path) -> None:
    async with (
        server_process(tiny_models, ice_interfaces="lo") as server,
        playing(server.socket_url, long_clip) as results,
    ):
        os.kill(server.process.pid, signal.SIGSTOP)
        await asyncio.sleep(5)
        os.kill(server.process.pid, signal.SIGCONT)
        resumed = now()
        await eventually(lambda: results[-1].at > resumed + 1, 10)
        reasons = {line["reason"] for line in server.lines("session ended")}
        assert not reasons & {"media_timeout", "ping_timeout", "no_media", "internal_error"}


async def test_late_results_are_told_and_nothing_else(tiny_models: Path, long_clip: Path) -> None:
    relay, notices = ImpairmentRelay(), list[str]()
    async with (
        live_server(tiny_models, ice_interfaces=RELAY_INTERFACES) as live,
        relay,
        through(relay, live.socket_url) as url,
        playing(url, long_clip, notices),
    ):
        relay.uplink.impairment = Impairment(delay=1.2)
        await eventually(lambda: notices, 15)
        assert [words for words in notices if not words.startswith("results are late: ")] == []
