from __future__ import annotations

import asyncio

import pytest

from inference.account import Account
from inference.scheduler import Scheduler


async def work(
    scheduler: Scheduler, log: list[str], name: str, turns: int = 1, *, cost_s: float = 0.0
) -> None:
    account = Account()
    for _ in range(turns):
        turn = await scheduler.turn(account)
        log.append(name)
        await asyncio.sleep(0)
        account.charge(cost_s)
        turn.end()


async def test_no_more_than_the_bound_are_in_flight() -> None:
    scheduler = Scheduler(lambda: 3)
    seen: list[int] = []

    async def session() -> None:
        for _ in range(5):
            turn = await scheduler.turn(Account())
            seen.append(scheduler.in_flight)
            await asyncio.sleep(0.001)
            turn.end()

    await asyncio.gather(*(session() for _ in range(10)))

    assert max(seen) == 3
    assert scheduler.in_flight == 0


async def test_turns_go_round() -> None:
    scheduler, log = Scheduler(lambda: 1), list[str]()
    await asyncio.gather(*(work(scheduler, log, name, turns=4) for name in "abc"))
    assert "".join(log) == "abc" * 4


async def test_a_session_that_comes_late_waits_for_one_round_only() -> None:
    scheduler, log = Scheduler(lambda: 1), list[str]()
    busy = [asyncio.create_task(work(scheduler, log, name, turns=20)) for name in "abc"]
    await asyncio.sleep(0)
    await work(scheduler, log, "late")
    assert log.index("late") <= len(busy) + 1
    await asyncio.gather(*busy)


async def test_who_has_used_least_is_next() -> None:
    scheduler, log = Scheduler(lambda: 1), list[str]()
    costly = work(scheduler, log, "c", turns=6, cost_s=1.0)
    await asyncio.gather(costly, *(work(scheduler, log, name, turns=20, cost_s=0.01) for name in "ab"))
    assert log.index("c", 1) > 30, "after its first turn the costly one waits for the others"
    assert log.count("c") == 6


async def test_a_turn_that_is_ended_twice_is_given_back_once() -> None:
    scheduler = Scheduler(lambda: 2)
    first, _ = await scheduler.turn(Account()), await scheduler.turn(Account())
    first.end()
    first.end()
    assert scheduler.in_flight == 1


@pytest.mark.parametrize("given", [False, True], ids=["waiting", "given in the same step"])
async def test_who_stops_waiting_takes_no_turn(given: bool) -> None:
    scheduler, log = Scheduler(lambda: 1), list[str]()
    holder = await scheduler.turn(Account())
    impatient = asyncio.create_task(work(scheduler, log, "impatient"))
    patient = asyncio.create_task(work(scheduler, log, "patient"))
    await asyncio.sleep(0)
    if given:
        holder.end()
    impatient.cancel()
    holder.end()
    await asyncio.wait([impatient, patient], timeout=5)
    assert log == ["patient"]
    assert scheduler.in_flight == 0


async def test_the_bound_may_change() -> None:
    bound, log = 1, list[str]()
    scheduler = Scheduler(lambda: bound)
    first = await scheduler.turn(Account())
    waiting = [asyncio.create_task(scheduler.turn(Account())) for _ in range(3)]
    await asyncio.sleep(0)
    bound = 3
    first.end()
    turns = [await task for task in waiting]
    assert scheduler.in_flight == 3
    bound = 1
    later = asyncio.create_task(work(scheduler, log, "later"))
    for turn in turns[:2]:
        turn.end()
        await asyncio.sleep(0)
    assert log == []
    turns[2].end()
    await later
    assert scheduler.in_flight == 0
