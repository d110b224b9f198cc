"""Keeps frames in order while several are processed at once."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Iterator


class FrameOrder:
    """A queue of frames. The turn of a frame comes when all earlier frames have left the queue.

    A frame leaves the queue however its processing ends: done, failed or cancelled.
    """

    def __init__(self) -> None:
        self._places: deque[asyncio.Event] = deque()

    @contextlib.contextmanager
    def place(self) -> Iterator[Callable[[], Awaitable[object]]]:
        """Holds a place in the queue until the block ends. Await the yielded function for the turn."""
        turn = asyncio.Event()
        self._places.append(turn)
        self._places[0].set()
        try:
            yield turn.wait
        finally:
            self._places.remove(turn)
            if self._places:
                self._places[0].set()
