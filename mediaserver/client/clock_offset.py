"""How far the server's clock is from ours (RFC 5905 section 8). Pure: times are passed in."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

_KEPT = 64
_MAX_ASKED = 64
"""Pings that wait for their answers. An older ping is unlikely to get an answer."""


class _Sample(NamedTuple):
    round_trip_ms: float
    offset_ms: float


class ClockOffset:
    """From pings and their answers. The fastest of the last 64 counts: slower pings waited in queues."""

    def __init__(self) -> None:
        self._asked: dict[int, float] = {}
        self._samples: deque[_Sample] = deque(maxlen=_KEPT)

    def asked(self, number: int, now_ms: float) -> None:
        """A ping goes out; ``now_ms`` in our clock."""
        self._asked[number] = now_ms
        if len(self._asked) > _MAX_ASKED:
            del self._asked[next(iter(self._asked))]

    def answered(self, number: int, server_ms: float, now_ms: float) -> None:
        """The answer to the ping of this number came; ``server_ms`` in the server's clock."""
        asked_ms = self._asked.pop(number, None)
        if asked_ms is not None:
            self._samples.append(_Sample(now_ms - asked_ms, server_ms - (asked_ms + now_ms) / 2))

    @property
    def offset_ms(self) -> float | None:
        """The server's clock less ours; ``None`` while it is not known."""
        return min(self._samples).offset_ms if self._samples else None
