"""Keeps the order of frames where several are under way."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Iterator


class FrameOrder:
    """A queue of frames: each has its place from when it came, and its turn when all before it have left.

    They leave in any way: done, failed or cancelled. So none blocks those behind it, and none overtakes.
    """

    def __init__(self) -> None:
        self._places: deque[asyncio.Event] = deque()

    @contextlib.contextmanager
    def place(self) -> Iterator[Callable[[], Awaitable[object]]]:
        """A place at the end of the queue until the block ends; await what it gives for the turn."""
        turn = asyncio.Event()
        self._places.append(turn)
        self._places[0].set()
        try:
            yield turn.wait
        finally:
            self._places.remove(turn)
            if self._places:
                self._places[0].set()
