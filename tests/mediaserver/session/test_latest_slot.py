from __future__ import annotations

import asyncio

from mediaserver.session.latest_slot import LatestSlot


async def test_the_newest_item_wins_and_it_says_when_it_pushed_one_out() -> None:
    slot: LatestSlot[int] = LatestSlot()
    assert [slot.put(number) for number in range(3)] == [False, True, True]
    assert slot.take() == 2
    assert slot.take() is None
    assert not slot.put(3)


async def test_filled_waits_for_an_item() -> None:
    slot: LatestSlot[str] = LatestSlot()
    waiting = asyncio.create_task(slot.filled())
    await asyncio.sleep(0)
    assert not waiting.done()
    slot.put("frame")
    await waiting


async def test_an_item_is_taken_once() -> None:
    slot: LatestSlot[str] = LatestSlot()
    slot.put("frame")
    assert slot.take() == "frame"
    waiting = asyncio.create_task(slot.filled())
    await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()
