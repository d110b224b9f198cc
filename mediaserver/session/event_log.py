"""The last events of a session, numbered. Events lost with a connection are sent again on the next."""

from __future__ import annotations

import asyncio
from collections import deque

from signaling.messages import OcrEvent

_KEPT = 16
"""Events kept. This suffices for a client that is gone for seconds, as OCR runs about once a second."""


class EventLog:
    """The events of one session. It outlives connections; each connection sends the events from `after`."""

    def __init__(self) -> None:
        self._kept: deque[OcrEvent] = deque(maxlen=_KEPT)
        self._newest_id = 0
        self._added = asyncio.Event()
        self.told_id = 0
        """Id of the newest event that was sent on any connection."""

    def add(self, event: OcrEvent) -> None:
        """Assigns an id to ``event`` and keeps it."""
        self._newest_id += 1
        event.id = self._newest_id
        self._kept.append(event)
        self._added.set()

    async def after(self, event_id: int) -> list[OcrEvent]:
        """Waits for events after the event ``event_id``, and returns them, oldest first."""
        while self._newest_id <= event_id:
            self._added.clear()
            await self._added.wait()
        return [event for event in self._kept if event.id > event_id]
