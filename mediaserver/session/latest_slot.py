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

    def put(self, item: T) -> bool:
        """Stores ``item``; true when it pushed out an older one that was not taken yet."""
        replaced = self._item is not None
        self._item = item
        self._filled.set()
        return replaced

    async def filled(self) -> None:
        """Waits until there is something to take."""
        await self._filled.wait()

    def take(self) -> T | None:
        """Empties the slot; ``None`` when there is nothing in it."""
        item, self._item = self._item, None
        self._filled.clear()
        return item
