"""Breaks the reference cycles of a closed peer connection."""

from __future__ import annotations

from collections.abc import Iterator

from aiortc import RTCPeerConnection
from pyee.asyncio import AsyncIOEventEmitter

from mediaserver.webrtc.aiortc_seam.ice import aioice_connection
from mediaserver.webrtc.aiortc_seam.media import ReceiverSeam
from mediaserver.webrtc.aiortc_seam.names import attribute
from mediaserver.webrtc.aiortc_seam.transports import dtls_transports, ice_transports

_CHECK_LIST = "_check_list"
_OWN = ("_recv", "_send")
"""Attributes of an `RTCIceTransport` that are methods of the object below it."""


def release(connection: RTCPeerConnection) -> None:
    """Breaks the reference cycles of ``connection``, which must be closed: listeners and replaced methods.

    So all its parts, with threads and pictures, are freed at once instead of by Python's garbage collector.
    Idempotent.
    """
    for transceiver in connection.getTransceivers():
        setattr(transceiver.receiver, ReceiverSeam.JITTER_BUFFER, None)
    for part in list(_parts(connection)):
        for name in [name for name in vars(part) if callable(getattr(type(part), name, None))]:
            delattr(part, name)
        for name in _OWN:
            if name in vars(part):
                setattr(part, name, _lost)  # a handshake may still be in progress
        if isinstance(part, AsyncIOEventEmitter):
            part.remove_all_listeners()


def _parts(connection: RTCPeerConnection) -> Iterator[object]:
    yield connection
    if connection.sctp is not None:
        yield connection.sctp
    for transceiver in connection.getTransceivers():
        yield from (transceiver, transceiver.receiver, transceiver.sender)
    yield from dtls_transports(connection)
    for ice in ice_transports(connection):
        yield from (ice, ice.iceGatherer)
        below = aioice_connection(ice)
        yield below
        for pair in attribute(below, _CHECK_LIST):
            pair.task = None  # its traceback holds the last stack frame of the check
            yield pair.protocol


async def _lost(*_: object) -> None:
    raise ConnectionError
