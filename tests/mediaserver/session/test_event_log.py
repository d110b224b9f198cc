from __future__ import annotations

import asyncio

from mediaserver.session.event_log import EventLog
from signaling.findings import FrameInfo
from signaling.messages import OcrEvent


def event() -> OcrEvent:
    return OcrEvent(FrameInfo(None, 0.0, None, 64, 48), [])


async def test_events_are_numbered_and_those_come_again_that_were_missed() -> None:
    log = EventLog()
    for _ in range(3):
        log.add(event())
    assert [each.id for each in await log.after(0)] == [1, 2, 3]
    assert [each.id for each in await log.after(2)] == [3]


async def test_who_has_all_waits_for_the_next() -> None:
    log = EventLog()
    log.add(event())
    waiting = [asyncio.create_task(log.after(1)) for _ in range(2)]
    await asyncio.sleep(0.01)
    assert not any(task.done() for task in waiting)
    log.add(event())
    assert [[each.id for each in await task] for task in waiting] == [[2], [2]]


async def test_only_the_last_are_kept() -> None:
    log = EventLog()
    for _ in range(1000):
        log.add(event())
    assert [each.id for each in await log.after(0)] == list(range(985, 1001))
