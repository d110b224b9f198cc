"""Whether a peer reads what it is sent: pings go among the results, and a pong confirms the results before.

The kernels at both ends hold megabytes, minutes of results: what was written may be unread. Every client
library answers a ping by itself, once it has read it (RFC 6455, 5.5.2). Pure: time is passed in, in seconds.
"""

from __future__ import annotations

_INTERVAL_S = 0.5


class ReadReceipts:
    """One ping is under way at a time."""

    def __init__(self) -> None:
        self._number = 0
        self._asked_at = float("-inf")
        self._is_awaited = False

    def ask(self, now: float) -> bytes | None:
        """The payload of a ping to send now; ``None`` while the last ping is unanswered, or too recent."""
        if self._is_awaited or now - self._asked_at < _INTERVAL_S:
            return None
        self._number += 1
        self._asked_at, self._is_awaited = now, True
        return self._payload()

    def take(self, pong: bytes) -> None:
        """A pong came; pongs for other pings are ignored."""
        if pong == self._payload():
            self._is_awaited = False

    def unread_s(self, now: float) -> float:
        """For how long at least the peer has read nothing; 0 while no ping is unanswered."""
        return now - self._asked_at if self._is_awaited else 0.0

    def _payload(self) -> bytes:
        return b"read %d" % self._number
