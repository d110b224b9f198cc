from __future__ import annotations

import asyncio

import pytest

from inference.scheduler import Scheduler


async def work(scheduler: Scheduler, log: list[str], name: str, turns: int = 1) -> None:
    for _ in range(turns):
        async with scheduler.turn():
            log.append(name)
            await asyncio.sleep(0)


async def test_no_more_than_the_bound_are_in_flight() -> None:
    scheduler = Scheduler(3)
    seen: list[int] = []

    async def session() -> None:
        for _ in range(5):
            async with scheduler.turn():
                seen.append(scheduler.in_flight)
                await asyncio.sleep(0.001)

    await asyncio.gather(*(session() for _ in range(10)))

    assert max(seen) == 3
    assert scheduler.in_flight == 0


async def test_turns_go_round() -> None:
    scheduler, log = Scheduler(1), list[str]()
    await asyncio.gather(*(work(scheduler, log, name, turns=4) for name in "abc"))
    assert "".join(log) == "abc" * 4


async def test_a_session_that_comes_late_waits_for_one_round_only() -> None:
    scheduler, log = Scheduler(1), list[str]()
    busy = [asyncio.create_task(work(scheduler, log, name, turns=20)) for name in "abc"]
    await asyncio.sleep(0)
    await work(scheduler, log, "late")
    assert log.index("late") <= len(busy) + 1
    await asyncio.gather(*busy)


async def test_a_turn_is_given_back_by_an_error_and_by_a_cancelled_holder() -> None:
    scheduler = Scheduler(1)
    with pytest.raises(ValueError, match="broken"):
        async with scheduler.turn():
            raise ValueError("broken")

    async def hold() -> None:
        async with scheduler.turn():
            await asyncio.sleep(60)

    holder = asyncio.create_task(hold())
    await asyncio.sleep(0)
    holder.cancel()
    await asyncio.wait([holder])
    assert scheduler.in_flight == 0
    await asyncio.wait_for(work(scheduler, [], "next"), timeout=5)


async def test_who_stops_waiting_takes_no_turn() -> None:
    scheduler, log = Scheduler(1), list[str]()
    async with scheduler.turn():
        impatient = asyncio.create_task(work(scheduler, log, "impatient"))
        patient = asyncio.create_task(work(scheduler, log, "patient"))
        await asyncio.sleep(0)
        impatient.cancel()
    await asyncio.wait([impatient, patient], timeout=5)
    assert log == ["patient"]
    assert scheduler.in_flight == 0
