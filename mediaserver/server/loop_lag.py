"""How late the event loop is. It is shared by all sessions, so lateness is everybody's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

_INTERVAL_S = 0.02


async def watch_lag(observe: Callable[[float], None]) -> None:
    """Forever: tells ``observe`` by how many seconds a timer was late."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + _INTERVAL_S
        await asyncio.sleep(_INTERVAL_S)
        observe(max(0.0, loop.time() - due))
