"""Whose text is read next: a little at once over all sessions, fairly by the time that it takes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator

from inference.account import Account
from inference.scheduler import Scheduler

_AT_ONCE = 2
"""One works on pixels while a model has the other's. Each may hold a whole picture."""


def shared_turns() -> Scheduler:
    """What all sessions of a process share."""
    return Scheduler(lambda: _AT_ONCE)


class OcrTurns:
    """Those of one session. A run takes several, so that a page full of text makes nobody wait to its end."""

    def __init__(self, shared: Scheduler) -> None:
        self._shared = shared
        self._account = Account()
        self._spent_s = 0.0

    def end_run(self) -> float:
        """The seconds that the run's turns took, all together; the next turn is another run's."""
        spent_s, self._spent_s = self._spent_s, 0.0
        return spent_s

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Waits until it is the session's turn, which ends with the block."""
        turn = await self._shared.turn(self._account)
        began = time.monotonic()
        try:
            yield
        finally:
            spent_s = time.monotonic() - began
            self._spent_s += spent_s
            self._account.charge(spent_s)
            turn.end()
