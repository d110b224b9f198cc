"""What of the datagrams of one ICE transport is looked at, and how many."""

from __future__ import annotations

import time

from mediaserver.webrtc.remote_candidates import RemoteCandidates
from signaling.rate_limit import RateLimit

_PER_S, _BURST = 1500.0, 1500.0
"""14 Mbit/s of full packets: several times what a client is asked for. The rest is dropped unseen, as by a
narrow link."""
_CHECKS_PER_S, _CHECK_BURST = 50.0, 200.0
"""Connectivity checks (RFC 8445 section 14: one in 50 ms) of all pairs."""
_MAX_WAITING = 512
"""Datagrams that wait to be handled, while the event loop is busy."""
_APPLICATION_DATA = 23
_DTLS_HEADER = 13
_MAX_BYTES = 2048
"""More than fits into a packet of any path that a client comes by. aioice sums up a message once for each
fingerprint in it."""
_LONGEST_PAUSE_MS = 1000
MAX_SOURCES = 16
"""SSRCs of one peer connection. A browser has two for each encoding, and new ones when it starts again."""


class DatagramGuard:
    """Bounds what one ICE transport takes in. Call on the event loop."""

    def __init__(self, candidates: RemoteCandidates) -> None:
        self._candidates = candidates
        self._datagrams = RateLimit(_PER_S, _BURST)
        self._checks = RateLimit(_CHECKS_PER_S, _CHECK_BURST)

    def admits_size(self, data: bytes) -> bool:
        """Whether a datagram, STUN or not, is looked at."""
        return len(data) <= _MAX_BYTES

    def admits_datagram(self, data: bytes, waiting: int) -> bool:
        """Whether a datagram that is no STUN is taken; ``waiting`` are those that are not handled yet."""
        return bool(data) and waiting < _MAX_WAITING and _is_whole(data) and self._datagrams.allows(_now())

    def admits_request(self) -> bool:
        """Whether a STUN request is answered."""
        return self._checks.allows(_now())

    def admits_source(self, host: str, port: int) -> bool:
        """Whether the address that an authentic check came from is checked in turn."""
        return self._candidates.admits_source(host, port, _now())


class ArrivalClock:
    """Times of arrival for aiortc's estimate of the bit rate. It walks over each millisecond since the packet
    before: for seconds, after an hour of silence or when the machine's clock is set."""

    def __init__(self) -> None:
        self._arrived_ms: int | None = None
        self._ms = 0

    def without_pauses(self, arrived_ms: int) -> int:
        """The same time, but at most a second after the one before, and never before it."""
        if self._arrived_ms is not None:
            self._ms += min(max(arrived_ms - self._arrived_ms, 0), _LONGEST_PAUSE_MS)
        self._arrived_ms = arrived_ms
        return self._ms


class SourceLimit:
    """Bounds the SSRCs of one peer connection."""

    def __init__(self) -> None:
        self._seen: set[int] = set()

    def admits(self, ssrc: int) -> bool:
        """Whether packets of this source are taken."""
        if ssrc not in self._seen and len(self._seen) < MAX_SOURCES:
            self._seen.add(ssrc)
        return ssrc in self._seen


def _is_whole(data: bytes) -> bool:
    """Whether DTLS application data is one record (RFC 6347 section 4.1): aiortc takes one out of each
    datagram, and what is left would pile up."""
    if data[0] != _APPLICATION_DATA:
        return True
    return len(data) >= _DTLS_HEADER and len(data) - _DTLS_HEADER == int.from_bytes(data[11:13])


def _now() -> float:
    return time.monotonic()
