from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable

import pytest

from mediaserver.webrtc.decode_threads import DecodeThreads


async def result_of(threads: DecodeThreads, work: Callable[..., object], *arguments: object) -> object:
    done: asyncio.Future[tuple[object, str]] = asyncio.get_running_loop().create_future()
    threads.submit(
        lambda result: done.set_result((result, threading.current_thread().name)), work, *arguments
    )
    async with asyncio.timeout(5):
        result, thread = await done
    assert thread == threading.current_thread().name, "the event loop's"
    return result


async def test_work_is_done_in_a_thread_and_its_result_comes_on_the_loop() -> None:
    with DecodeThreads(2) as threads:
        assert await result_of(threads, divmod, 7, 2) == (3, 1)
        assert str(await result_of(threads, lambda: threading.current_thread().name)).startswith("decode_")


async def test_work_that_raises_is_logged_and_costs_no_thread(caplog: pytest.LogCaptureFixture) -> None:
    with DecodeThreads(1) as threads:
        assert await result_of(threads, divmod, 7, 0) is None
        assert [record.exc_info is not None for record in caplog.records] == [True]
        assert await result_of(threads, divmod, 7, 2) == (3, 1)


async def test_what_was_submitted_is_done_before_the_end_and_nothing_after() -> None:
    did: list[int] = []
    with DecodeThreads(1) as threads:
        for number in range(3):
            threads.submit(lambda _: None, did.append, number)
    assert did == [0, 1, 2]
    assert not any(thread.name.startswith("decode_") for thread in threading.enumerate())
    with pytest.raises(RuntimeError, match="ended"):
        threads.submit(lambda _: None, did.append, 3)


def test_an_event_loop_that_has_ended_costs_no_thread(caplog: pytest.LogCaptureFixture) -> None:
    release = threading.Event()

    async def leave_behind(threads: DecodeThreads) -> None:
        threads.submit(lambda _: None, release.wait)

    with caplog.at_level(logging.DEBUG), DecodeThreads(1) as threads:
        asyncio.run(leave_behind(threads))
        release.set()
        assert asyncio.run(result_of(threads, divmod, 7, 2)) == (3, 1)
    assert "end of its event loop" in caplog.text
