"""When packets came, though nobody was there to read them."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator

import pytest
from aioice import Candidate
from aiortc import RTCIceGatherer, RTCIceTransport
from aiortc.clock import current_ms

from mediaserver.webrtc.aiortc_seam.arrival import KernelArrivals
from mediaserver.webrtc.aiortc_seam.ice import gather_only

RTP = b"\x80" + bytes(100)
INTERVAL_S = 0.02


@pytest.fixture
async def transport() -> AsyncIterator[RTCIceTransport]:
    """Not connected; it takes what comes all the same."""
    transport = RTCIceTransport(RTCIceGatherer(iceServers=[]))
    gather_only(transport, ["127.0.0.1"])
    transport._connection._nominated = {1: object()}
    yield transport
    await transport.stop()


@pytest.fixture
def sender() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        yield sender


async def gathered(transport: RTCIceTransport) -> tuple[str, int]:
    await transport.iceGatherer.gather()
    [candidate] = transport._connection.local_candidates
    assert isinstance(candidate, Candidate)
    return candidate.host, candidate.port


async def test_packets_that_waited_for_the_loop_have_the_times_of_the_network(
    transport: RTCIceTransport, sender: socket.socket
) -> None:
    arrivals = KernelArrivals(transport)
    address = await gathered(transport)
    async with asyncio.timeout(10):  # the kernel begins to note times when it gets to it
        noted = False
        while not noted:
            sent_ms = current_ms()
            sender.sendto(RTP, address)
            time.sleep(3 * INTERVAL_S)
            await transport._recv()
            noted = arrivals.of_handled(current_ms()) < sent_ms + 1000 * INTERVAL_S
    sent = []
    for _ in range(10):  # the loop stands still meanwhile
        sent.append(current_ms())
        sender.sendto(RTP, address)
        time.sleep(INTERVAL_S)
    told = []
    for _ in sent:
        assert bytes(await transport._recv()) == RTP
        told.append(arrivals.of_handled(current_ms()))
    assert current_ms() - sent[0] > 9 * 1000 * INTERVAL_S, "so much later the first was handled"
    for sent_ms, told_ms in zip(sent, told, strict=True):
        assert told_ms == pytest.approx(sent_ms, abs=2000 * INTERVAL_S)


async def test_what_is_no_media_has_the_time_of_who_handles_it(
    transport: RTCIceTransport, sender: socket.socket
) -> None:
    arrivals = KernelArrivals(transport)
    sender.sendto(b"\x17" + bytes(100), await gathered(transport))
    await transport._recv()
    assert arrivals.of_handled(12345) == 12345


async def test_the_times_are_those_of_aiortc(transport: RTCIceTransport, sender: socket.socket) -> None:
    arrivals = KernelArrivals(transport)
    address = await gathered(transport)
    for _ in range(2):
        sender.sendto(RTP, address)
        await asyncio.wait_for(transport._recv(), 5)
    assert abs(arrivals.of_handled(0) - current_ms()) < 1000
