"""Limits the datagrams of one ICE transport by rate, size and kind."""

from __future__ import annotations

import time

from mediaserver.webrtc.remote_candidates import RemoteCandidates
from signaling.rate_limit import RateLimit

_PER_S, _BURST = 200.0, 400.0
"""Datagrams of each transport: 1.8 Mbit/s of full packets, more than a ``rate`` hint asks for."""
_SURPLUS_PER_S, _SURPLUS_BURST = 800.0, 800.0
"""Further datagrams of all transports of a process together: a tenth of the event loop's time.

A single encoder that ignores hints can send 9 Mbit/s. Further datagrams are dropped, as by a narrow link.
"""
_CHECKS_PER_S, _CHECK_BURST = 50.0, 200.0
"""Connectivity checks of all pairs. RFC 8445 section 14 asks for one in 50 ms."""
_MAX_WAITING = 512
"""Datagrams that may wait while the event loop is busy."""
_APPLICATION_DATA = 23
_DTLS_HEADER = 13
_MAX_BYTES = 2048
"""Size of a datagram at most, above the MTU of usual paths.

aioice computes a checksum of a message once for each fingerprint in it.
"""
_LONGEST_PAUSE_MS = 1000
MAX_SOURCES = 16
"""SSRCs of one peer connection. A browser uses two for each encoding, and new ones after a restart."""


def datagram_surplus() -> RateLimit:
    """Makes the limit for further datagrams, shared by all transports of a process."""
    return RateLimit(_SURPLUS_PER_S, _SURPLUS_BURST)


class DatagramGuard:
    """Limits the datagrams of one ICE transport. Call it on the event loop.

    ``surplus`` is a `datagram_surplus`, shared by all transports.
    """

    def __init__(self, candidates: RemoteCandidates, surplus: RateLimit) -> None:
        self._candidates = candidates
        self._surplus = surplus
        self._datagrams = RateLimit(_PER_S, _BURST)
        self._checks = RateLimit(_CHECKS_PER_S, _CHECK_BURST)

    def admits_size(self, data: bytes) -> bool:
        """Whether a datagram of any kind is small enough."""
        return len(data) <= _MAX_BYTES

    def admits_datagram(self, data: bytes, waiting: int) -> bool:
        """Whether a datagram that is not STUN is taken. ``waiting`` is the number not handled yet."""
        if not data or waiting >= _MAX_WAITING or not _is_whole(data):
            return False
        now = _now()
        return self._datagrams.allows(now) or self._surplus.allows(now)

    def admits_request(self) -> bool:
        """Whether a STUN request is answered."""
        return self._checks.allows(_now())

    def admits_source(self, host: str, port: int) -> bool:
        """Whether the source address of an authentic check gets a check in return."""
        return self._candidates.admits_source(host, port, _now())


class ArrivalClock:
    """Arrival times for aiortc's estimate of the bit rate, without long pauses.

    aiortc loops over each millisecond since the previous packet. After an hour of silence, or if the
    machine's clock is set, that would take seconds.
    """

    def __init__(self) -> None:
        self._arrived_ms: int | None = None
        self._ms = 0

    def without_pauses(self, arrived_ms: int) -> int:
        """Returns a time that grows with ``arrived_ms``, but by 1000 ms a packet at most."""
        if self._arrived_ms is not None:
            self._ms += min(max(arrived_ms - self._arrived_ms, 0), _LONGEST_PAUSE_MS)
        self._arrived_ms = arrived_ms
        return self._ms


class SourceLimit:
    """Limits the SSRCs of one peer connection."""

    def __init__(self) -> None:
        self._seen: set[int] = set()

    def admits(self, ssrc: int) -> bool:
        """Whether packets of this source are accepted."""
        if ssrc not in self._seen and len(self._seen) < MAX_SOURCES:
            self._seen.add(ssrc)
        return ssrc in self._seen


def _is_whole(data: bytes) -> bool:
    """Whether DTLS application data is exactly one record (RFC 6347 section 4.1).

    aiortc takes one record out of each datagram; further records would accumulate.
    """
    if data[0] != _APPLICATION_DATA:
        return True
    return len(data) >= _DTLS_HEADER and len(data) - _DTLS_HEADER == int.from_bytes(data[11:13])


def _now() -> float:
    return time.monotonic()
