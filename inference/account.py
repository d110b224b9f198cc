"""Accounts for the processor time of one session, so that the session with the least is served first."""

from __future__ import annotations

import math
import time

HALF_LIFE_S = 2.0
"""Half-life of charged time. A session that used much is served normally again after a few seconds."""


class Account:
    """Processor seconds of one session, in threads and in models. May be charged from any thread.

    Charging is not atomic: of two charges at the same moment one may be lost. An estimate is enough here.
    """

    def __init__(self) -> None:
        self._used_s = 0.0
        self._at = time.monotonic()

    @property
    def used_s(self) -> float:
        """Seconds charged so far, with exponential decay: each counts half after `HALF_LIFE_S`."""
        return self._used_s * math.exp2((self._at - time.monotonic()) / HALF_LIFE_S)

    def charge(self, seconds: float) -> None:
        """Adds seconds that were used just now."""
        self._used_s = self.used_s + seconds
        self._at = time.monotonic()
