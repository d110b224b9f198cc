"""What one session has used of the processors, so that whoever has used least is served first."""

from __future__ import annotations

import math
import time

HALF_LIFE_S = 2.0
"""What was used counts half after this time: a session that was greedy is not punished for long."""


class Account:
    """Processor seconds of one session, in threads and in models. May be charged from any thread.

    (Two threads that charge at the same moment may lose one of the two: it is a measure, not money.)
    """

    def __init__(self) -> None:
        self._used_s = 0.0
        self._at = time.monotonic()

    @property
    def used_s(self) -> float:
        """What was used lately, in seconds that fade by half in `HALF_LIFE_S`."""
        return self._used_s * math.exp2((self._at - time.monotonic()) / HALF_LIFE_S)

    def charge(self, seconds: float) -> None:
        """Adds what was used just now."""
        self._used_s = self.used_s + seconds
        self._at = time.monotonic()
