"""Measures the lateness of the event loop, which all sessions share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

_INTERVAL_S = 0.02


async def watch_lag(observe: Callable[[float], None]) -> None:
    """Calls ``observe`` every 20 ms with the seconds that a timer was late, until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + _INTERVAL_S
        await asyncio.sleep(_INTERVAL_S)
        observe(max(0.0, loop.time() - due))
