"""The time in which a client has two servers: the old server, and the next, without results yet."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any

from mediaserver.client.link import Link
from mediaserver.client.peer import Peer

_LONGEST_S = 3.0
"""The server that is left keeps the session for longer, and the next one may have no results at all."""


class Overlap:
    """Of one client. `close` ends it and releases everything."""

    def __init__(self) -> None:
        self._over = asyncio.Event()
        self._leaving: set[asyncio.Task[None]] = set()

    def end(self) -> None:
        """The next server has sent a result."""
        self._over.set()

    def leave_link(self, link: Link, reading: asyncio.Task[object]) -> None:
        """The overlap begins; at its end closes ``link``, whose results are taken until then."""
        self._over.clear()
        link.only_results()
        self._leave(self._leave_link(link, reading))

    def leave_peer(self, peer: Peer) -> None:
        """Closes ``peer`` when the overlap is over."""
        self._leave(self._leave_peer(peer))

    async def close(self) -> None:
        """Idempotent."""
        self.end()
        await asyncio.gather(*self._leaving)

    def _leave(self, leaving: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(leaving)
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def _leave_link(self, link: Link, reading: asyncio.Task[object]) -> None:
        try:
            await self._wait()
        finally:
            await link.close()
            reading.cancel()
            await asyncio.wait([reading])

    async def _leave_peer(self, peer: Peer) -> None:
        try:
            await self._wait()
        finally:
            await peer.close()

    async def _wait(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LONGEST_S):
                await self._over.wait()
