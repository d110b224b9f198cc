"""Switches the path of an ICE transport when the address of the other side changes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import aioice
from aioice.candidate import Candidate
from aioice.ice import CandidatePair
from aioice.stun import TransactionError
from aiortc import RTCIceTransport

from mediaserver.webrtc.aiortc_seam.ice import aioice_connection
from mediaserver.webrtc.aiortc_seam.names import attribute

_GATHER = "get_component_candidates"
_PROTOCOLS = "_protocols"
_NOMINATED = "_nominated"
_BUILD_REQUEST = "build_request"
_REMOTE_PASSWORD = "remote_password"
_DATAGRAM_RECEIVED = "datagram_received"
_CLOSE = "close"
_REPETITIONS = 3
_SILENT_S = 0.2
"""Seconds without datagrams on the known path, before another path is checked."""


def follow_sender(transport: RTCIceTransport, admits: Callable[[str, int], bool]) -> None:
    """Makes ``transport`` send to the address from which it receives. Call it before gathering.

    If a NAT drops a mapping, the other side gets another port without its knowledge. aioice would send to the
    old port until consent expires, for 30 s (RFC 7675). So a new source address gets a connectivity check.
    Only the other side can answer the check; its address then becomes the new path. ``admits`` decides
    whether an address is checked. Raises `SeamMoved`.
    """
    connection = aioice_connection(transport)
    for name in (_PROTOCOLS, _NOMINATED, _BUILD_REQUEST, _REMOTE_PASSWORD):
        attribute(connection, name)
    gather, close = attribute(connection, _GATHER), attribute(connection, _CLOSE)
    follower = _Follower(connection, admits)

    async def gather_followed(*arguments: Any, **named: Any) -> Any:
        candidates = await gather(*arguments, **named)
        for protocol in getattr(connection, _PROTOCOLS):
            _watch(protocol, follower)
        return candidates

    async def close_followed() -> None:
        await follower.close()
        await close()

    setattr(connection, _GATHER, gather_followed)
    setattr(connection, _CLOSE, close_followed)


def _watch(protocol: Any, follower: _Follower) -> None:
    receive = attribute(protocol, _DATAGRAM_RECEIVED)

    def datagram_received(data: bytes, address: tuple[Any, ...]) -> None:
        follower.heard(protocol, (address[0], address[1]))
        receive(data, address)

    setattr(protocol, _DATAGRAM_RECEIVED, datagram_received)


class _Follower:
    """Checks one address at a time."""

    def __init__(self, connection: aioice.Connection, admits: Callable[[str, int], bool]) -> None:
        self._connection = connection
        self._admits = admits
        self._checking: asyncio.Task[None] | None = None
        self._failed: set[tuple[str, int]] = set()
        self._known_at = 0.0

    def heard(self, protocol: Any, address: tuple[str, int]) -> None:
        """Handles the source address of a datagram."""
        pairs = getattr(self._connection, _NOMINATED).values()
        now = time.monotonic()
        if not pairs or any(pair.protocol is protocol and pair.remote_addr == address for pair in pairs):
            self._known_at = now
        elif self._is_wanted(address, now) and self._admits(*address):
            self._checking = asyncio.create_task(self._check(protocol, address), name="follow-sender")
            self._checking.add_done_callback(self._checked)

    async def close(self) -> None:
        """Cancels a check in progress."""
        if self._checking is not None:
            self._checking.cancel()
            await asyncio.wait([self._checking])

    def _is_wanted(self, address: tuple[str, int], now: float) -> bool:
        is_free = self._checking is None and address not in self._failed
        return is_free and now - self._known_at > _SILENT_S

    async def _check(self, protocol: Any, address: tuple[str, int]) -> None:
        pair = CandidatePair(protocol, _candidate(protocol, address))
        build, password = (attribute(self._connection, name) for name in (_BUILD_REQUEST, _REMOTE_PASSWORD))
        try:
            _, answered_from = await protocol.request(
                build(pair, nominate=False), address, password.encode(), retransmissions=_REPETITIONS
            )
        except TransactionError:
            answered_from = None
        if answered_from == address:
            getattr(self._connection, _NOMINATED)[pair.component] = pair
        else:
            self._failed.add(address)

    def _checked(self, task: asyncio.Task[None]) -> None:
        self._checking = None
        with suppress(asyncio.CancelledError, OSError):
            task.result()


def _candidate(protocol: Any, address: tuple[str, int]) -> Candidate:
    """Makes a peer-reflexive candidate (RFC 8445 section 7.3.1.3)."""
    host, port = address
    component = protocol.local_candidate.component
    candidate = Candidate("followed", component, "udp", 0, host, port, "prflx")
    candidate._network_host = host
    return candidate
