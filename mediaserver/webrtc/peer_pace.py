"""Limits the rate at which a process makes peer connections."""

from __future__ import annotations

import asyncio
import time

from signaling.rate_limit import RateLimit

_PER_S, _BURST = 20.0, 20.0
"""Peer connections a second. Each takes 5 to 10 ms of the event loop for keys, sockets and decoders."""


class PeerPace:
    """Callers wait for their turns in the order of their requests. A cancelled caller uses no turn."""

    def __init__(self) -> None:
        self._limit = RateLimit(_PER_S, _BURST)
        self._asking = asyncio.Lock()

    async def turn(self) -> None:
        """Waits until another peer connection may be made."""
        async with self._asking:
            while not self._limit.allows(time.monotonic()):  # noqa: ASYNC110 - a matter of time alone
                await asyncio.sleep(1 / _PER_S)
