from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
import time
from collections.abc import Callable

import pytest

from inference.account import Account
from inference.fair_threads import FairThreads, Lane


def burn(seconds: float) -> None:
    """Takes so much processor time."""
    began = time.thread_time()
    while time.thread_time() - began < seconds:
        pass


def proven(threads: FairThreads) -> Lane:
    """A lane whose jobs are known to be short."""
    lane = threads.lane(Account())
    lane.submit(int).result(5)
    return lane


async def result_of(lane: Lane, work: Callable[..., object], *arguments: object) -> object:
    done: asyncio.Future[tuple[object, str]] = asyncio.get_running_loop().create_future()
    lane.call(lambda result: done.set_result((result, threading.current_thread().name)), work, *arguments)
    async with asyncio.timeout(5):
        result, thread = await done
    assert thread == threading.current_thread().name, "the event loop's"
    return result


async def test_work_is_done_in_a_thread_and_its_result_comes_on_the_loop() -> None:
    with FairThreads(2, "decode") as threads:
        lane = threads.lane(Account())
        assert await result_of(lane, divmod, 7, 2) == (3, 1)
        assert str(await result_of(lane, lambda: threading.current_thread().name)).startswith("decode_")


async def test_it_is_an_executor() -> None:
    loop = asyncio.get_running_loop()
    with FairThreads(1, "vision") as threads:
        lane = threads.lane(Account())
        assert await loop.run_in_executor(lane, divmod, 7, 2) == (3, 1)
        with pytest.raises(ZeroDivisionError):
            await loop.run_in_executor(lane, divmod, 7, 0)
        assert lane.submit(sorted, [1, 2], reverse=True).result(5) == [2, 1]


async def test_a_future_that_is_cancelled_in_time_costs_nothing() -> None:
    did: list[int] = []
    with FairThreads(1, "vision") as threads:
        release = threading.Event()
        lane = threads.lane(Account())
        lane.submit(release.wait)
        waiting = lane.submit(did.append, 1)
        assert waiting.cancel()
        release.set()
        lane.submit(did.append, 2).result(5)
    assert did == [2]


async def test_work_that_raises_is_logged_and_costs_no_thread(caplog: pytest.LogCaptureFixture) -> None:
    with FairThreads(1, "decode") as threads:
        lane = threads.lane(Account())
        assert await result_of(lane, divmod, 7, 0) is None
        assert [record.exc_info is not None for record in caplog.records] == [True]
        assert await result_of(lane, divmod, 7, 2) == (3, 1)


async def test_what_was_submitted_is_done_before_the_end_and_nothing_after() -> None:
    did: list[int] = []
    with FairThreads(2, "decode") as threads:
        lanes = [threads.lane(Account()) for _ in range(5)]
        for number in range(20):
            lanes[number % 5].submit(did.append, number)
    assert sorted(did) == list(range(20))
    assert not any(thread.name.startswith("decode_") for thread in threading.enumerate())
    with pytest.raises(RuntimeError, match="ended"):
        lanes[0].submit(did.append, 3)


def test_an_event_loop_that_has_ended_costs_no_thread(caplog: pytest.LogCaptureFixture) -> None:
    release = threading.Event()

    async def leave_behind(lane: Lane) -> None:
        lane.call(lambda _: None, release.wait)

    with caplog.at_level(logging.DEBUG), FairThreads(1, "decode") as threads:
        lane = threads.lane(Account())
        asyncio.run(leave_behind(lane))
        release.set()
        assert asyncio.run(result_of(lane, divmod, 7, 2)) == (3, 1)
    assert "end of its event loop" in caplog.text


def test_who_has_used_least_comes_next() -> None:
    order: list[str] = []
    with FairThreads(1, "decode") as threads:
        greedy, modest = proven(threads), proven(threads)
        greedy.account.charge(5)
        release = threading.Event()
        greedy.submit(release.wait)
        for _ in range(3):
            greedy.submit(order.append, "greedy")
            modest.submit(order.append, "modest")
        release.set()
    assert order == ["modest"] * 3 + ["greedy"] * 3


def test_what_a_job_takes_is_charged_to_its_session() -> None:
    with FairThreads(1, "decode") as threads:
        lane = threads.lane(Account())
        lane.submit(burn, 0.05)
    assert lane.account.used_s > 0.03


def test_long_jobs_leave_a_thread_for_the_others() -> None:
    with FairThreads(2, "decode") as threads:
        modest = proven(threads)
        release = threading.Event()
        bombs = [threads.lane(Account()) for _ in range(8)]
        for bomb in bombs:
            bomb.submit(burn, 0.03)
            bomb.submit(release.wait)
        for number in range(20):
            assert modest.submit(int, number).result(5) == number
        release.set()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a thread has no priority of its own")
def test_long_jobs_have_a_lower_priority() -> None:
    with FairThreads(2, "decode") as threads:
        modest, bomb = proven(threads), threads.lane(Account())
        assert bomb.submit(os.nice, 0).result(5) > modest.submit(os.nice, 0).result(5) == os.nice(0)


def test_short_jobs_between_long_ones_hide_nothing() -> None:
    with FairThreads(2, "decode") as threads:
        lane = proven(threads)
        lane.submit(burn, 0.03).result(5)
        for _ in range(10):
            lane.submit(int).result(5)
        assert lane.is_long


def test_a_session_whose_jobs_became_short_has_all_threads_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inference.fair_threads._LONG_FOR_S", 0.05)
    with FairThreads(2, "decode") as threads:
        lane = threads.lane(Account())
        lane.submit(burn, 0.03).result(5)
        time.sleep(0.1)
        both = threading.Barrier(2)
        waiting = [lane.submit(both.wait) for _ in range(2)]
        assert sorted(each.result(5) for each in waiting) == [0, 1]


def test_nothing_is_forgotten_whatever_the_mix() -> None:
    did: list[int] = []
    with FairThreads(3, "decode") as threads:
        lanes = [threads.lane(Account()) for _ in range(10)]
        for number in range(200):
            lanes[number % 10].submit(burn, 0.025 if number % 40 == 0 else 0.0)
            lanes[number % 10].submit(did.append, number)
    assert sorted(did) == list(range(200))
