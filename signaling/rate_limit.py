"""A token bucket: a steady rate with room for a burst."""

from __future__ import annotations

_MANY_KEYS = 1024


class RateLimit:
    """Allows ``rate`` events a second on average and ``burst`` at once. Time is passed in, in seconds."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = burst
        self._refilled_at: float | None = None

    def is_full(self, now: float) -> bool:
        """Whether nothing was taken lately."""
        if self._refilled_at is None:
            return True
        return self._tokens + (now - self._refilled_at) * self._rate >= self._burst

    def allows(self, now: float, cost: float = 1.0) -> bool:
        """Takes ``cost`` tokens if there are so many."""
        if self._refilled_at is not None:
            self._tokens = min(self._burst, self._tokens + (now - self._refilled_at) * self._rate)
        self._refilled_at = now
        if self._tokens < cost:
            return False
        self._tokens -= cost
        return True


class RateLimits:
    """A `RateLimit` for each of many keys. Limits that are full are forgotten."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._limits: dict[str, RateLimit] = {}

    def allows(self, key: str, now: float) -> bool:
        """Takes a token of ``key``'s, if there is one."""
        if len(self._limits) >= _MANY_KEYS:
            self._limits = {each: limit for each, limit in self._limits.items() if not limit.is_full(now)}
        return self._limits.setdefault(key, RateLimit(self._rate, self._burst)).allows(now)
