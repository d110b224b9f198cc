from __future__ import annotations

import asyncio

from mediaserver.latest import Latest


async def test_the_newest_item_wins_and_the_others_are_counted() -> None:
    slot: Latest[int] = Latest()
    for number in range(5):
        slot.put(number)
    assert slot.take() == 4
    assert slot.replaced == 4
    assert slot.take() is None


async def test_filled_waits_for_an_item() -> None:
    slot: Latest[str] = Latest()
    waiting = asyncio.create_task(slot.filled())
    await asyncio.sleep(0)
    assert not waiting.done()
    slot.put("frame")
    await waiting


async def test_an_item_is_taken_once() -> None:
    slot: Latest[str] = Latest()
    slot.put("frame")
    assert slot.take() == "frame"
    waiting = asyncio.create_task(slot.filled())
    await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()
