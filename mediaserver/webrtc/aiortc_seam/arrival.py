"""Arrival times of packets, from the kernel.

aiortc uses the time at which it handles a packet. On a busy event loop that time is late. The estimate of the
bit rate would then take the delay in this process for a narrow link.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable
from fcntl import ioctl
from typing import Any

from aiortc import RTCIceTransport

from mediaserver.webrtc.aiortc_seam.ice import aioice_connection
from mediaserver.webrtc.aiortc_seam.names import attribute

_GATHER = "get_component_candidates"
_PROTOCOLS = "_protocols"
_DATAGRAM_RECEIVED = "datagram_received"
_TRANSPORT = "transport"
_RECEIVE = "_recv"
_SIOCGSTAMPNS = 0x8907
"""socket(7): the ioctl for the arrival time of the datagram that was read last.

SO_TIMESTAMPNS gives it in control messages, which event loops do not pass on.
"""
_TIMESPEC = struct.Struct("@ll")
_UNIX_EPOCH_MS = 2_208_988_800_000
"""The Unix epoch in NTP time (RFC 5905 section 6), which aiortc uses."""
_RTP = range(128, 192)
"""First bytes of RTP and RTCP. DTLS and STUN use the same port (RFC 7983 section 7)."""


class _Packet(bytes):
    """A packet with its arrival time. aioice and aiortc pass it on unchanged until its decryption."""

    arrived_ms: int


class KernelArrivals:
    """Arrival times of packets on ``transport``. Make it before ``transport`` gathers. Raises `SeamMoved`."""

    def __init__(self, transport: RTCIceTransport) -> None:
        connection = aioice_connection(transport)
        attribute(connection, _PROTOCOLS)
        gather, receive = attribute(connection, _GATHER), attribute(transport, _RECEIVE)
        self._handled: bytes = b""

        async def gather_stamped(*arguments: Any, **named: Any) -> Any:
            candidates = await gather(*arguments, **named)
            for protocol in getattr(connection, _PROTOCOLS):
                _stamp(protocol)
            return candidates

        async def receive_noted() -> bytes:
            self._handled = await receive()
            return self._handled

        setattr(connection, _GATHER, gather_stamped)
        setattr(transport, _RECEIVE, receive_noted)

    def of_handled(self, handled_ms: int) -> int:
        """Returns the arrival time of the packet that is handled now, in NTP milliseconds.

        It is ``handled_ms``, the time now, if the kernel gives no time.
        """
        return self._handled.arrived_ms if isinstance(self._handled, _Packet) else handled_ms


def _stamp(protocol: Any) -> None:
    receive: Callable[..., None] = attribute(protocol, _DATAGRAM_RECEIVED)
    socket = attribute(protocol, _TRANSPORT).get_extra_info("socket")

    def datagram_received(data: bytes, address: tuple[Any, ...]) -> None:
        arrived_ms = _read_last_ms(socket.fileno()) if data and data[0] in _RTP else None
        if arrived_ms is not None:
            data = _Packet(data)
            data.arrived_ms = arrived_ms
        receive(data, address)

    setattr(protocol, _DATAGRAM_RECEIVED, datagram_received)


def _read_last_ms(descriptor: int) -> int | None:
    """Returns the arrival of the datagram that was read last, in NTP milliseconds; ``None`` if unknown."""
    if sys.platform != "linux":
        return None
    told = bytearray(_TIMESPEC.size)
    try:
        ioctl(descriptor, _SIOCGSTAMPNS, told)
    except (OSError, ValueError):  # closed meanwhile
        return None
    seconds, nanoseconds = _TIMESPEC.unpack(told)
    return int(seconds * 1000 + nanoseconds // 1_000_000 + _UNIX_EPOCH_MS)
