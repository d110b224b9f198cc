from __future__ import annotations

import asyncio
import time

from mediaserver.webrtc.peer_pace import PeerPace

BURST, PER_S = 20, 20


async def test_a_burst_comes_at_once_and_the_next_ones_one_by_one() -> None:
    pace = PeerPace()
    began = time.monotonic()
    for _ in range(BURST + PER_S // 2):
        await pace.turn()
    assert time.monotonic() - began >= 0.4


async def test_who_leaves_while_waiting_makes_nobody_wait() -> None:
    pace = PeerPace()
    for _ in range(BURST):
        await pace.turn()
    leaving = [asyncio.create_task(pace.turn()) for _ in range(1000)]
    await asyncio.sleep(0)
    for task in leaving:
        task.cancel()
    await asyncio.wait(leaving)
    async with asyncio.timeout(5):  # all of them would have taken 50 s
        await pace.turn()
