"""Who may put a frame into inference next."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable


class Turn:
    """The right to have one frame in inference, until `end`."""

    def __init__(self, on_end: Callable[[], None]) -> None:
        self._on_end: Callable[[], None] | None = on_end

    def end(self) -> None:
        """Gives the turn back. Idempotent."""
        if self._on_end is not None:
            on_end, self._on_end = self._on_end, None
            on_end()


class Scheduler:
    """Bounds the frames that are in inference at once, fairly over sessions.

    A session asks for a turn *before* it takes its newest frame, so waiting happens while the frame can
    still be replaced by a newer one. Each session asks for one turn at a time and turns are given first
    come, first served; so between two turns of one session every other waiting session has had one.

    ``bound`` is asked anew for each turn: what an engine takes at once may change while it runs.
    """

    def __init__(self, bound: Callable[[], int]) -> None:
        self._bound = bound
        self._waiting: deque[asyncio.Future[None]] = deque()
        self.in_flight = 0

    async def turn(self) -> Turn:
        """Waits for a turn. Who gets one must end it, whatever happens."""
        waiting = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        self._give()
        try:
            await waiting
        except asyncio.CancelledError:
            if waiting.done() and not waiting.cancelled():  # given and cancelled in one step of the loop
                self._end()
            raise
        return Turn(self._end)

    def _give(self) -> None:
        while self._waiting and self.in_flight < max(1, self._bound()):
            waiting = self._waiting.popleft()
            if not waiting.done():
                self.in_flight += 1
                waiting.set_result(None)

    def _end(self) -> None:
        self.in_flight -= 1
        self._give()
