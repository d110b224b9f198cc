"""Results over a path that loses, delays and reorders."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mediaserver.client.client import InferenceClient
from tests.support.impaired_socket import through
from tests.support.impairment import RELAY_INTERFACES, Impairment, ImpairmentRelay
from tests.support.live_server import live_server

HALF_RTT_S = 0.025
RECOVERY_S = 0.5


async def arrivals(
    tiny_models: Path, clip: Path, relay: ImpairmentRelay, each: Callable[[int], None] = lambda count: None
) -> list[float]:
    """When each result came, on a clip of three seconds. ``each`` is called with the count so far."""
    times: list[float] = []
    async with (
        live_server(tiny_models, rate_hints=False, ice_interfaces=RELAY_INTERFACES) as live,
        relay,
        through(relay, live.socket_url) as url,
        InferenceClient(url) as client,
    ):
        async for _ in client.stream(clip):
            times.append(time.monotonic())
            each(len(times))
    return times


def longest_gap(times: list[float]) -> float:
    return max(later - earlier for earlier, later in itertools.pairwise(times))


async def test_after_a_burst_of_losses_results_go_on_within_half_a_second(
    tiny_models: Path, clip: Path
) -> None:
    relay = ImpairmentRelay(Impairment(delay=HALF_RTT_S), Impairment(delay=HALF_RTT_S))
    bursts = []

    def lose_ten_packets(count: int) -> None:
        if count % 12 == 0:
            bursts.append(count)
            relay.uplink.drop_next = 10

    times = await arrivals(tiny_models, clip, relay, lose_ten_packets)
    assert len(bursts) >= 2
    assert relay.uplink.lost >= 20
    assert longest_gap(times) < RECOVERY_S


@pytest.mark.parametrize(
    "uplink",
    [
        Impairment(delay=HALF_RTT_S, loss=0.05),
        Impairment(delay=HALF_RTT_S, jitter=0.03, reorder=0.05, duplicate=0.02),
    ],
    ids=["loss", "jitter"],
)
async def test_a_bad_path_costs_frames_but_never_freezes(
    tiny_models: Path, clip: Path, uplink: Impairment
) -> None:
    relay = ImpairmentRelay(uplink, Impairment(delay=HALF_RTT_S), seed=7)
    times = await arrivals(tiny_models, clip, relay)
    assert len(times) > 30
    assert longest_gap(times) < 2 * RECOVERY_S


async def test_results_that_are_lost_are_not_sent_again(tiny_models: Path, clip: Path) -> None:
    """A third of what the server sends is lost; the rest comes on time, in order, each once."""
    relay = ImpairmentRelay(seed=3)

    def lose_a_third(_count: int) -> None:
        # Not before the first result: repeating a lost handshake takes DTLS a second (RFC 6347, 4.2.4.1), and
        # the clip has three.
        relay.downlink.impairment = Impairment(loss=0.3, media_only=False)

    times = await arrivals(tiny_models, clip, relay, lose_a_third)
    assert relay.downlink.lost > 10
    assert len(times) > 15
