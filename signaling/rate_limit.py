"""A token bucket: a steady rate with room for a burst."""

from __future__ import annotations


class RateLimit:
    """Allows ``rate`` events a second on average and ``burst`` at once. Time is passed in, in seconds."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._refilled_at: float | None = None

    def allows(self, now: float, cost: float = 1.0) -> bool:
        """Takes ``cost`` tokens if there are so many."""
        if self._refilled_at is not None:
            self._tokens = min(self._burst, self._tokens + (now - self._refilled_at) * self._rate)
        self._refilled_at = now
        if self._tokens < cost:
            return False
        self._tokens -= cost
        return True
