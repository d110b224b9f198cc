"""A table in shared memory of the tokens that have begun a session, until they expire."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

_BUCKETS, _DEPTH = 4096, 8
SIZE = 2 * _BUCKETS * _DEPTH
"""Size of the table in doubles: a fingerprint and an expiry for each token."""


def fingerprint(text: str) -> int:
    """Returns a hash of 48 bits, which a double holds exactly. It is 2 or more."""
    return 2 + int.from_bytes(hashlib.blake2b(text.encode(), digest_size=6).digest())


class UsedTokens:
    """A hash table in ``numbers`` from ``start`` on. Callers must hold the lock. Times are Unix seconds."""

    def __init__(self, numbers: memoryview[float], start: int) -> None:
        self._numbers = numbers
        self._start = start

    def use(self, token_id: str, expires: float, now: float) -> bool:
        """Marks a token as used. Returns false if it was used before, or if its bucket of 8 is full."""
        mark, free = float(fingerprint(token_id)), None
        for place in self._bucket(mark):
            if self._numbers[place + 1] <= now:
                free = place
            elif self._numbers[place] == mark:
                return False
        if free is None:
            return False
        self._numbers[free], self._numbers[free + 1] = mark, expires
        return True

    def forget(self, token_id: str) -> None:
        """Makes a token usable again."""
        mark = float(fingerprint(token_id))
        for place in self._bucket(mark):
            if self._numbers[place] == mark:
                self._numbers[place + 1] = 0.0

    def _bucket(self, mark: float) -> Iterator[int]:
        first = self._start + 2 * _DEPTH * (int(mark) % _BUCKETS)
        return iter(range(first, first + 2 * _DEPTH, 2))
