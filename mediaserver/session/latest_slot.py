"""One slot; the newest item wins. The only place where frames wait."""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

T = TypeVar("T")


class LatestSlot(Generic[T]):
    """Holds at most one item. For one producer and one consumer on the same event loop."""

    def __init__(self) -> None:
        self._item: T | None = None
        self._filled = asyncio.Event()
        self.replaced = 0
        """Items that a newer one pushed out before they were taken."""

    def put(self, item: T) -> None:
        """Stores ``item``; an untaken older one is dropped and counted."""
        if self._item is not None:
            self.replaced += 1
        self._item = item
        self._filled.set()

    async def filled(self) -> None:
        """Waits until there is something to take."""
        await self._filled.wait()

    def take(self) -> T | None:
        """Empties the slot; ``None`` when there is nothing in it."""
        item, self._item = self._item, None
        self._filled.clear()
        return item
