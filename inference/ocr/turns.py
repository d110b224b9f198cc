"""Turns of OCR, two at once over all sessions, fair by the time that they take."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator

from inference.account import Account
from inference.scheduler import Scheduler

_AT_ONCE = 2
"""Turns at once: one works on pixels while the other runs a model. Each may hold a whole picture."""


def shared_turns() -> Scheduler:
    """Makes the scheduler that all sessions of a process share."""
    return Scheduler(lambda: _AT_ONCE)


class OcrTurns:
    """The turns of one session. A run takes several, so that others need not wait for a whole page."""

    def __init__(self, shared: Scheduler) -> None:
        self._shared = shared
        self._account = Account()
        self._spent_s = 0.0

    def end_run(self) -> float:
        """Ends a run, and returns the seconds of all its turns together."""
        spent_s, self._spent_s = self._spent_s, 0.0
        return spent_s

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Waits for the session's turn, which ends with the block."""
        turn = await self._shared.turn(self._account)
        began = time.monotonic()
        try:
            yield
        finally:
            spent_s = time.monotonic() - began
            self._spent_s += spent_s
            self._account.charge(spent_s)
            turn.end()
