"""Limits the results in flight on a data channel, so that results do not queue behind each other.

Pure: time is passed in, in seconds of any monotonic clock. SCTP would fill the queues of the path, oldest
result first. A waiting result is worth less than the next. So SCTP gets a result only if the path has room.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

_QUEUED_S = 0.25
"""Time by which a result may be slower than the fastest.

A receiver may delay an acknowledgement by 200 ms (RFC 9260 section 6.2).
"""
_FIRST_S = 0.5
"""Time for a result before the first acknowledgement."""
_STALLED_S = 1.0
_KEPT = 64


class _Message(NamedTuple):
    last_tsn: int
    sent_at: float


class ResultFlow:
    """The messages in flight on one SCTP association (RFC 9260), by the TSN of their last chunk."""

    def __init__(self) -> None:
        self._under_way: deque[_Message] = deque()
        self._took: deque[float] = deque(maxlen=_KEPT)
        self._progress_at = float("-inf")

    def sent(self, last_tsn: int, now: float) -> None:
        """Records that a message was given to SCTP."""
        self._under_way.append(_Message(last_tsn, now))

    def acknowledged(self, highest_tsn: int, now: float) -> None:
        """Records an acknowledgement. Messages up to ``highest_tsn``, even if lost, are not in flight."""
        newest = None
        while self._under_way and _is_reached(self._under_way[0].last_tsn, highest_tsn):
            newest = self._under_way.popleft()
        if newest is not None:
            self._took.append(now - newest.sent_at)
            self._progress_at = now

    def has_room(self, now: float) -> bool:
        """Whether a result sent now would not wait for others."""
        return self._waits_s(now) < (min(self._took) + _QUEUED_S if self._took else _FIRST_S)

    def is_stalled(self, now: float) -> bool:
        """Whether acknowledgements have been missing for more than 1 s."""
        return min(self._waits_s(now), now - self._progress_at) > _STALLED_S

    def _waits_s(self, now: float) -> float:
        """Seconds for which the oldest message has been in flight."""
        return now - self._under_way[0].sent_at if self._under_way else 0.0


def _is_reached(tsn: int, by: int) -> bool:
    """Whether ``tsn`` is at or before ``by``, in serial number arithmetic (RFC 1982)."""
    return (by - tsn) & 0xFFFFFFFF < 1 << 31
