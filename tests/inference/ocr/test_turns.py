from __future__ import annotations

import asyncio

import pytest

from inference.ocr.turns import OcrTurns, shared_turns


async def test_two_sessions_have_a_turn_at_once_and_no_more() -> None:
    shared, inside, most = shared_turns(), 0, 0

    async def session() -> None:
        nonlocal inside, most
        turns = OcrTurns(shared)
        for _ in range(3):
            async with turns.turn():
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(0.001)
                inside -= 1

    await asyncio.gather(*(session() for _ in range(6)))
    assert most == 2


async def test_who_has_read_least_comes_next() -> None:
    shared, order = shared_turns(), list[str]()
    greedy, modest = OcrTurns(shared), OcrTurns(shared)
    async with greedy.turn():
        await asyncio.sleep(0.05)

    async def read(name: str, turns: OcrTurns) -> None:
        async with turns.turn():
            order.append(name)

    async with asyncio.TaskGroup() as sessions, OcrTurns(shared).turn(), OcrTurns(shared).turn():
        sessions.create_task(read("greedy", greedy))
        await asyncio.sleep(0)
        sessions.create_task(read("modest", modest))
        await asyncio.sleep(0)
    assert order == ["modest", "greedy"]


async def test_a_run_takes_as_long_as_its_turns_without_what_lies_between() -> None:
    turns = OcrTurns(shared_turns())
    for _ in range(2):
        async with turns.turn():
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.2)
    assert 0.04 <= turns.end_run() < 0.2
    assert turns.end_run() == 0.0


async def test_a_turn_ends_whatever_happens_in_it() -> None:
    turns = OcrTurns(shared_turns())
    for _ in range(5):
        with pytest.raises(ZeroDivisionError):
            async with turns.turn():
                raise ZeroDivisionError
    async with asyncio.timeout(1), turns.turn():
        pass
