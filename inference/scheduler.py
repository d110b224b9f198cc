"""Who may put a frame into inference next."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Scheduler:
    """Bounds the frames that are in inference at once, fairly over sessions.

    A session asks for a turn *before* it takes its newest frame, so waiting happens while the frame can
    still be replaced by a newer one. Each session asks for one turn at a time and turns are given first
    come, first served; so between two turns of one session every other waiting session has had one.
    """

    def __init__(self, max_in_flight: int) -> None:
        self._turns = asyncio.Semaphore(max_in_flight)
        self.in_flight = 0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Waits for a turn and holds it for the length of the ``async with`` block."""
        async with self._turns:
            self.in_flight += 1
            try:
                yield
            finally:
                self.in_flight -= 1
