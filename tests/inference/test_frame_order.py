from __future__ import annotations

import asyncio

import pytest

from inference.frame_order import FrameOrder


class Frame:
    """Takes its place at once; has its turn, and ends when it may."""

    def __init__(self, order: FrameOrder, name: str, turns: list[str]) -> None:
        self.may_end = asyncio.Event()
        self.task = asyncio.create_task(self._run(order, name, turns))

    async def _run(self, order: FrameOrder, name: str, turns: list[str]) -> None:
        with order.place() as turn:
            await turn()
            turns.append(name)
            await self.may_end.wait()
            if name == "failing":
                raise ValueError(name)


async def three(*names: str) -> tuple[list[Frame], list[str]]:
    order, turns = FrameOrder(), list[str]()
    frames = [Frame(order, name, turns) for name in names]
    await asyncio.sleep(0.01)
    return frames, turns


async def test_turns_come_in_the_order_of_places() -> None:
    frames, turns = await three("first", "second", "third")
    frames[2].may_end.set()
    frames[1].may_end.set()
    await asyncio.sleep(0.01)
    assert turns == ["first"]
    frames[0].may_end.set()
    await asyncio.gather(*(frame.task for frame in frames))
    assert turns == ["first", "second", "third"]


async def test_one_that_is_cancelled_blocks_none_and_lets_none_overtake() -> None:
    frames, turns = await three("first", "second", "third")
    frames[1].task.cancel()
    await asyncio.wait([frames[1].task])
    assert turns == ["first"], "the third waits for the first still"
    frames[0].task.cancel()
    frames[2].may_end.set()
    await frames[2].task
    assert turns == ["first", "third"]


async def test_one_that_fails_blocks_none() -> None:
    frames, turns = await three("failing", "second")
    for frame in frames:
        frame.may_end.set()
    with pytest.raises(ValueError, match="failing"):
        await frames[0].task
    await frames[1].task
    assert turns == ["failing", "second"]
