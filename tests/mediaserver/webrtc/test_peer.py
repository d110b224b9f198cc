from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from typing import Any

from aiortc import RTCConfiguration, RTCPeerConnection
from aiortc.sdp import SessionDescription

from mediaserver.settings.types import IpAddress, NetworkInterface
from mediaserver.webrtc.decode_threads import DecodeThreads
from mediaserver.webrtc.peer import Peer
from tests.support.receive_counts import ReceiveCounts

LOOPBACK = (NetworkInterface("127.0.0.1"),)


@contextlib.asynccontextmanager
async def answering(**addresses: Any) -> AsyncIterator[Peer]:
    with DecodeThreads(1) as threads:
        peer = Peer(
            threads=threads,
            on_frame=lambda frame: None,
            on_results_channel=lambda channel: None,
            on_failed=lambda: None,
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
