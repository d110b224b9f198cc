"""A slot for one item, in which the newest item wins. Frames wait for inference only here."""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

T = TypeVar("T")


class LatestSlot(Generic[T]):
    """Holds one item at most, for one producer and one consumer on the same event loop."""

    def __init__(self) -> None:
        self._item: T | None = None
        self._filled = asyncio.Event()

    def put(self, item: T) -> bool:
        """Stores ``item``. Returns whether it replaced an item that was not taken."""
        replaced = self._item is not None
        self._item = item
        self._filled.set()
        return replaced

    async def filled(self) -> None:
        """Waits until there is an item to take."""
        await self._filled.wait()

    def take(self) -> T | None:
        """Takes the item out of the slot; ``None`` if the slot is empty."""
        item, self._item = self._item, None
        self._filled.clear()
        return item
