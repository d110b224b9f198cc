"""Decides which session may put a frame into inference next."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from inference.account import Account


class Turn:
    """The right to have one frame in inference until `end` is called."""

    def __init__(self, on_end: Callable[[], None]) -> None:
        self._on_end: Callable[[], None] | None = on_end

    def end(self) -> None:
        """Gives the turn back. Idempotent."""
        if self._on_end is not None:
            on_end, self._on_end = self._on_end, None
            on_end()


@dataclass(eq=False, slots=True)
class _Waiting:
    account: Account
    given: asyncio.Future[None]


class Scheduler:
    """Bounds the number of frames in inference at once, fairly over sessions.

    A session first waits for its turn, then takes its newest frame. While it waits, newer frames replace
    older ones. Each session requests one turn at a time. The next turn goes to the session with the least
    recent processor time. Among equals it goes to the session that has waited longest.

    ``bound`` is called before each turn, as an engine's limit may change while it runs.
    """

    def __init__(self, bound: Callable[[], int]) -> None:
        self._bound = bound
        self._waiting: list[_Waiting] = []
        self.in_flight = 0

    async def turn(self, account: Account) -> Turn:
        """Waits for a turn. The caller must end the turn, also after an error."""
        waiting = _Waiting(account, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._give()
        try:
            await waiting.given
        except asyncio.CancelledError:
            if waiting.given.done() and not waiting.given.cancelled():
                self._end()  # given and cancelled in one step of the loop
            elif waiting in self._waiting:
                self._waiting.remove(waiting)
            raise
        return Turn(self._end)

    def _give(self) -> None:
        while self._waiting and self.in_flight < max(1, self._bound()):
            following = min(self._waiting, key=lambda waiting: waiting.account.used_s)
            self._waiting.remove(following)
            if not following.given.done():
                self.in_flight += 1
                following.given.set_result(None)

    def _end(self) -> None:
        self.in_flight -= 1
        self._give()
