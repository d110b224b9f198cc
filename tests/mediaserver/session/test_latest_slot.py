from __future__ import annotations

import asyncio

from mediaserver.session.latest_slot import LatestSlot


async def test_the_newest_item_wins_and_the_others_are_counted() -> None:
    slot: LatestSlot[int] = LatestSlot()
    for number in range(5):
        slot.put(number)
    assert slot.take() == 4
    assert slot.replaced == 4
    assert slot.take() is None


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
