from __future__ import annotations

import asyncio
import time

from mediaserver.server.loop_lag import watch_lag


async def test_a_blocked_loop_is_seen() -> None:
    seen: list[float] = []
    watching = asyncio.create_task(watch_lag(seen.append))
    await asyncio.sleep(0.05)
    time.sleep(0.1)
    await asyncio.sleep(0.05)
    watching.cancel()
    assert max(seen) > 0.07
    assert min(seen) >= 0
