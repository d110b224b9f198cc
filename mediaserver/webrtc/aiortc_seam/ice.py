"""ICE transports, and the aioice connections below them."""

from __future__ import annotations

import asyncio
import inspect
import itertools
from contextlib import suppress
from typing import Any

import aioice
from aioice.stun import TransactionError
from aiortc import RTCIceTransport

from mediaserver.webrtc.aiortc_seam.names import PARSE_ERRORS, SeamMoved, attribute
from mediaserver.webrtc.datagram_guard import DatagramGuard

_TURN = 4
"""Datagrams of one transport that are handled in a turn: half a millisecond of the event loop."""
_AIOICE_CONNECTION = "_connection"
_GATHER = "get_component_candidates"
_QUERY_CONSENT = "query_consent"
_NOMINATED = "_nominated"
_BUILD_REQUEST = "build_request"
_REMOTE_PASSWORD = "remote_password"
_CHECK_INCOMING = "check_incoming"
_REQUEST_RECEIVED = "request_received"
_DATA_RECEIVED = "data_received"
_DATAGRAM_RECEIVED = "datagram_received"
_REQUEST = "request"
_PROTOCOLS = "_protocols"
_QUEUE = "_queue"
_RECEIVE = "_recv"


def gather_only(transport: RTCIceTransport, addresses: list[str]) -> None:
    """Makes ``transport`` gather host candidates on ``addresses`` only. Call it before gathering.

    aioice gathers on all addresses but loopback, and passes the list to a method that is replaced here.
    Raises `SeamMoved`.
    """
    connection = aioice_connection(transport)
    gather = getattr(connection, _GATHER, None)
    if gather is None or list(inspect.signature(gather).parameters) != ["component", "addresses", "timeout"]:
        raise SeamMoved(f"aioice's Connection no longer has {_GATHER}(component, addresses, timeout)")

    def gather_listed(**arguments: Any) -> Any:
        return gather(**{**arguments, "addresses": addresses})

    setattr(connection, _GATHER, gather_listed)


async def answers_check(transport: RTCIceTransport) -> bool:
    """Whether the other side answers a connectivity check on a pair in use. Raises `SeamMoved`.

    Up to three checks are sent within 3.5 s. aioice itself checks every 5 s, and tolerates six missing
    answers (RFC 7675).
    """
    connection = aioice_connection(transport)
    build, password = attribute(connection, _BUILD_REQUEST), attribute(connection, _REMOTE_PASSWORD)
    for pair in list(attribute(connection, _NOMINATED).values()):
        with suppress(TransactionError):
            await pair.protocol.request(
                build(pair, nominate=False), pair.remote_addr, password.encode(), retransmissions=2
            )
            return True
    return False


def stop_consent_checks(transport: RTCIceTransport) -> None:
    """Ends the consent checks (RFC 7675) of ``transport``, including later ones. Raises `SeamMoved`.

    If aioice is closed while its connectivity checks succeed, it starts consent checks afterwards. Without
    pairs to check, these do not end.
    """
    connection = aioice_connection(transport)
    attribute(connection, _QUERY_CONSENT)
    setattr(connection, _QUERY_CONSENT, _no_checks)


def guard_datagrams(transport: RTCIceTransport, guard: DatagramGuard) -> None:
    """Passes only datagrams and connectivity checks that ``guard`` admits. Call it before gathering.

    aioice itself keeps received data in an unbounded queue. It checks each source address of a check, and its
    parser raises errors into the event loop. Raises `SeamMoved`.
    """
    connection = aioice_connection(transport)
    gather = attribute(connection, _GATHER)
    attribute(connection, _PROTOCOLS)
    take, answer, learn = (
        attribute(connection, name) for name in (_DATA_RECEIVED, _REQUEST_RECEIVED, _CHECK_INCOMING)
    )
    queue: asyncio.Queue[object] = attribute(connection, _QUEUE)

    def data_received(data: bytes, component: int) -> None:
        if guard.admits_datagram(data, queue.qsize()):
            take(data, component)

    def request_received(message: Any, address: tuple[str, int], protocol: Any) -> None:
        if guard.admits_request():
            answer(message, address, protocol)

    def check_incoming(message: Any, address: tuple[str, int], protocol: Any) -> None:
        if guard.admits_source(*address):
            learn(message, address, protocol)

    async def gather_guarded(*arguments: Any, **named: Any) -> Any:
        candidates = await gather(*arguments, **named)
        for protocol in getattr(connection, _PROTOCOLS):
            _guard_protocol(protocol, guard)
        return candidates

    setattr(connection, _GATHER, gather_guarded)
    setattr(connection, _DATA_RECEIVED, data_received)
    setattr(connection, _REQUEST_RECEIVED, request_received)
    setattr(connection, _CHECK_INCOMING, check_incoming)


def take_turns(transport: RTCIceTransport) -> None:
    """Makes ``transport`` yield to others after each few datagrams. Raises `SeamMoved`.

    aiortc itself handles all waiting datagrams at once.
    """
    receive, taken = attribute(transport, _RECEIVE), itertools.count(1)

    async def receive_in_turns() -> bytes:
        if next(taken) % _TURN == 0:
            await asyncio.sleep(0)
        datagram: bytes = await receive()
        return datagram

    setattr(transport, _RECEIVE, receive_in_turns)


def _guard_protocol(protocol: Any, guard: DatagramGuard) -> None:
    receive, request = attribute(protocol, _DATAGRAM_RECEIVED), attribute(protocol, _REQUEST)

    def datagram_received(data: bytes, address: tuple[Any, ...]) -> None:
        if guard.admits_size(data):
            with suppress(*PARSE_ERRORS):  # malformed STUN
                receive(data, address)

    async def request_freed(*arguments: Any, **named: Any) -> Any:
        try:
            return await request(*arguments, **named)
        except TransactionError as exc:
            # The traceback would keep the transaction and the connection in a reference cycle.
            exc.__traceback__ = None
            raise

    setattr(protocol, _DATAGRAM_RECEIVED, datagram_received)
    setattr(protocol, _REQUEST, request_freed)


def aioice_connection(transport: RTCIceTransport) -> aioice.Connection:
    """Returns the aioice connection below ``transport``. Raises `SeamMoved`."""
    connection = getattr(transport.iceGatherer, _AIOICE_CONNECTION, None)
    if not isinstance(connection, aioice.Connection):
        raise SeamMoved(f"aiortc's RTCIceGatherer no longer has an aioice.Connection as {_AIOICE_CONNECTION}")
    return connection


async def _no_checks() -> None: ...
