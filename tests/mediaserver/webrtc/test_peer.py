from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import time
from collections.abc import AsyncIterator
from struct import pack
from typing import Any

import psutil
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection
from aiortc.sdp import SessionDescription

from inference.account import Account
from inference.fair_threads import FairThreads
from mediaserver.settings.types import IpAddress, NetworkInterface
from mediaserver.webrtc.datagram_guard import datagram_surplus
from mediaserver.webrtc.peer import Peer
from mediaserver.webrtc.remote_candidates import MAX_CANDIDATES, candidate_budget
from signaling.messages import IceCandidate
from tests.support.receive_counts import ReceiveCounts

LOOPBACK = (NetworkInterface("127.0.0.1"),)


@contextlib.asynccontextmanager
async def answering(**addresses: Any) -> AsyncIterator[Peer]:
    with FairThreads(1, "decode") as threads:
        peer = Peer(
            lane=threads.lane(Account()),
            on_frame=lambda frame: None,
            on_results_channel=lambda channel: None,
            on_failed=lambda: None,
            on_refused=lambda words: None,
            candidate_budget=candidate_budget(),
            datagram_surplus=datagram_surplus(),
            observer=ReceiveCounts(),
            **addresses,
        )
        try:
            yield peer
        finally:
            await peer.close()


async def offer() -> str:
    """Video and a data channel, as every client sends it."""
    client = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    client.addTransceiver("video", direction="sendonly")
    client.createDataChannel("results")
    try:
        return (await client.createOffer()).sdp
    finally:
        await client.close()


def addresses_in(sdp: str) -> set[str]:
    return set(re.findall(r"^(?:a=candidate:\S+ \d+ udp \d+|c=IN IP[46]) (\S+)", sdp, re.MULTILINE))


async def test_media_uses_only_the_interfaces_that_are_listed() -> None:
    async with answering(interfaces=LOOPBACK) as peer:
        assert addresses_in(await peer.answer(await offer())) == {"127.0.0.1"}


async def test_the_answer_announces_the_public_address() -> None:
    async with answering(interfaces=LOOPBACK, public_ip=IpAddress("203.0.113.7")) as peer:
        assert addresses_in(await peer.answer(await offer())) == {"203.0.113.7"}


async def test_the_first_video_that_is_sent_is_received() -> None:
    client = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    for kind, direction in (("audio", "sendonly"), ("video", "recvonly"), ("video", "sendonly")):
        client.addTransceiver(kind, direction=direction)
    sdp = (await client.createOffer()).sdp
    await client.close()
    async with answering(interfaces=LOOPBACK) as peer:
        sections = SessionDescription.parse(await peer.answer(sdp)).media
        assert peer.receiver is not None
    assert [media.direction for media in sections] == ["inactive", "inactive", "recvonly"]


def candidate(host: str, port: int) -> str:
    return f"candidate:1 1 udp 2130706431 {host} {port} typ host"


class Victim(asyncio.DatagramProtocol):
    """Counts what comes to a port that a hostile client names."""

    def __init__(self) -> None:
        self.datagrams = 0

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        self.datagrams += 1


@contextlib.asynccontextmanager
async def victims(count: int) -> AsyncIterator[dict[int, Victim]]:
    """By their ports, on loopback."""
    loop = asyncio.get_running_loop()
    found, transports = {}, []
    for _ in range(count):
        transport, victim = await loop.create_datagram_endpoint(Victim, local_addr=("127.0.0.1", 0))
        found[transport.get_extra_info("sockname")[1]] = victim
        transports.append(transport)
    try:
        yield found
    finally:
        for transport in transports:
            transport.close()


async def test_connectivity_checks_go_to_few_of_the_many_addresses_that_are_named() -> None:
    async with victims(60) as named, answering(interfaces=LOOPBACK) as peer:
        in_offer, trickled = list(named)[:30], list(named)[30:]
        lines = "".join(f"a={candidate('127.0.0.1', port)}\r\n" for port in in_offer)
        sdp = (await offer()).replace("a=mid:0\r\n", f"a=mid:0\r\n{lines}", 1)
        await peer.answer(sdp)
        for port in trickled:
            await peer.add_candidate(IceCandidate(candidate("127.0.0.1", port), sdp_mid="0"))
        await asyncio.sleep(1.5)
        reached = [victim.datagrams for victim in named.values() if victim.datagrams]
        assert 0 < len(reached) <= MAX_CANDIDATES
        assert sum(reached) <= 7 * MAX_CANDIDATES


async def test_an_address_that_is_not_checked_and_a_name_cost_no_time() -> None:
    async with answering(interfaces=LOOPBACK) as peer:
        sdp = await offer()
        names = "".join(f"a={candidate(f'{number:08}.local', 9)}\r\n" for number in range(8))
        began = time.monotonic()
        await peer.answer(sdp.replace("a=mid:0\r\n", f"a=mid:0\r\n{names}", 1))
        for number in range(8, 16):
            await peer.add_candidate(IceCandidate(candidate(f"{number:08}.local", 9), sdp_mid="0"))
        for host in ("169.254.169.254", "224.0.0.1", "0.0.0.0"):
            await peer.add_candidate(IceCandidate(candidate(host, 80), sdp_mid="0"))
        assert time.monotonic() - began < 0.9, "aiortc waits a second for each name"


async def test_a_close_that_is_cancelled_is_done_to_its_end() -> None:
    async with answering(interfaces=LOOPBACK) as peer:
        await peer.answer(await offer())
        closing = asyncio.create_task(peer.close())
        await asyncio.sleep(0)
        closing.cancel()
        await asyncio.wait([closing])
        assert closing.cancelled()
        await peer.close()
        assert peer._connection.connectionState == "closed"
        assert peer._connection.iceConnectionState == "closed"


async def test_an_answer_that_is_cancelled_while_it_gathers_leaves_no_socket() -> None:
    sdp, process = await offer(), psutil.Process()
    before = len(process.net_connections("udp"))
    for steps in range(0, 40, 3):
        async with answering() as peer:
            answer = asyncio.create_task(peer.answer(sdp))
            for _ in range(steps):
                await asyncio.sleep(0)
            answer.cancel()
            await asyncio.wait([answer])
    await asyncio.sleep(0.1)
    assert len(process.net_connections("udp")) == before


async def test_what_only_looks_like_a_check_reaches_nobody(caplog: pytest.LogCaptureFixture) -> None:
    """aioice's parser lets its errors out to the event loop, which logs a traceback for each."""
    header = b"\x00\x01" + pack("!HL", 8, 0x2112A442) + bytes(12)
    too_short = header + pack("!HHL", 0x24, 2, 0)  # PRIORITY has 4 bytes
    async with answering(interfaces=LOOPBACK) as peer:
        answer = await peer.answer(await offer())
        host, port = re.findall(r"^a=candidate:\S+ 1 udp \d+ (\S+) (\d+)", answer, re.MULTILINE)[0]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as anybody:
            for datagram in (too_short, bytes(9000), b""):
                anybody.sendto(datagram, (host, int(port)))
            good = b"\x00\x01" + pack("!HL", 0, 0x2112A442) + bytes(12)
            anybody.sendto(good, (host, int(port)))
            anybody.setblocking(False)
            reply = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(anybody, 1500), 5)
    assert reply[:2] == b"\x01\x11", "the good one is answered, with an error as it is not signed"
    assert caplog.records == []
