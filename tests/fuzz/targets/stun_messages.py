"""Datagrams that anybody sends to the port of an ICE transport.

Framed as in `tests.fuzz.inputs.packets`. Each comes twice: as it is, and signed with the
transport's password.
"""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from struct import pack
from typing import Any

from aiortc import RTCIceGatherer, RTCIceTransport

from mediaserver.webrtc.aiortc_seam.ice import gather_only, guard_datagrams
from mediaserver.webrtc.datagram_guard import DatagramGuard, datagram_surplus
from mediaserver.webrtc.remote_candidates import RemoteCandidates, candidate_budget
from tests.fuzz.event_loop import run
from tests.fuzz.inputs import packets

MUTATIONS = 200
_LOOPBACK = "127.0.0.1"
_NAME, _PASSWORD = "ours", "passwordof22characters"
_HEADER, _SIGNATURE = 20, 24


def one_input(data: bytes) -> None:
    run(_receive(data))


async def _receive(data: bytes) -> None:
    async with _gathered() as protocol:
        for packet in packets(data):
            protocol.datagram_received(packet, (_LOOPBACK, 9))
            protocol.datagram_received(_signed(packet), (_LOOPBACK, 9))


def _signed(message: bytes) -> bytes:
    length = len(message) - _HEADER + _SIGNATURE
    content = message[:2] + pack("!H", max(length, 0) & 0xFFFF) + message[4:]
    return content + pack("!HH", 8, 20) + hmac.digest(_PASSWORD.encode(), content, "sha1")


@asynccontextmanager
async def _gathered() -> AsyncIterator[Any]:
    gatherer = RTCIceGatherer([], local_username=_NAME, local_password=_PASSWORD)
    transport = RTCIceTransport(gatherer)
    gather_only(transport, [_LOOPBACK])
    candidates = RemoteCandidates([_LOOPBACK], behind_nat=False, budget=candidate_budget())
    guard_datagrams(transport, DatagramGuard(candidates, datagram_surplus()))
    await gatherer.gather()
    try:
        [protocol] = transport._connection._protocols
        yield protocol
    finally:
        await transport.stop()
