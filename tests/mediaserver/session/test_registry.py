from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from mediaserver.server import scoreboard
from mediaserver.session.registry import SessionRegistry
from mediaserver.telemetry.metrics import Metrics


def session(token: str) -> Any:
    return SimpleNamespace(resume_token=token)


def nothing() -> None: ...


def registry(resume_window_s: float, max_resumable: int = 8) -> SessionRegistry:
    return SessionRegistry(resume_window_s, max_resumable, scoreboard.alone().rows[0], Metrics())


async def test_a_lost_client_finds_its_session_again() -> None:
    sessions = registry(10)
    lost = session("token")
    sessions.add(lost, nothing)
    sessions.release(lost, nothing, resumable=True)
    assert sessions.resume("token", nothing) is lost
    sessions.close()


async def test_it_counts_who_is_there_and_who_may_come_back() -> None:
    sessions = registry(10)
    here, lost, done = session("here"), session("lost"), session("done")
    for each in (here, lost, done):
        sessions.add(each, nothing)
    sessions.release(lost, nothing, resumable=True)
    sessions.release(done, nothing, resumable=False)
    assert len(sessions) == 2
    assert [token in sessions for token in ("here", "lost", "done", None)] == [True, True, False, False]
    sessions.close()


async def test_after_the_window_it_is_gone() -> None:
    sessions = registry(0.02)
    lost = session("token")
    sessions.add(lost, nothing)
    sessions.release(lost, nothing, resumable=True)
    await asyncio.sleep(0.06)
    assert sessions.resume("token", nothing) is None


async def test_a_client_that_said_goodbye_cannot_come_back() -> None:
    sessions = registry(10)
    done = session("token")
    sessions.add(done, nothing)
    sessions.release(done, nothing, resumable=False)
    assert sessions.resume("token", nothing) is None


async def test_resuming_ends_the_connection_that_still_runs_the_session() -> None:
    sessions = registry(10)
    running = session("token")
    ended: list[str] = []

    def first() -> None:
        ended.append("first")

    sessions.add(running, first)
    assert sessions.resume("token", nothing) == running
    assert ended == ["first"]
    # The first connection winds up later and must not take the session away from the second.
    sessions.release(running, first, resumable=False)
    assert sessions.resume("token", nothing) is running
    sessions.close()


async def test_lost_sessions_do_not_pile_up() -> None:
    sessions = registry(10, max_resumable=2)
    for number in range(5):
        lost = session(str(number))
        sessions.add(lost, nothing)
        sessions.release(lost, nothing, resumable=True)
    assert [sessions.resume(str(number), nothing) is not None for number in range(5)] == [
        False,
        False,
        False,
        True,
        True,
    ]
    sessions.close()


async def test_a_long_session_that_was_just_lost_outlasts_those_lost_before_it() -> None:
    sessions = registry(10, max_resumable=2)
    long = session("long")
    sessions.add(long, nothing)
    for number in range(2):
        lost = session(str(number))
        sessions.add(lost, nothing)
        sessions.release(lost, nothing, resumable=True)
        await asyncio.sleep(0.002)
    sessions.release(long, nothing, resumable=True)
    assert [token in sessions for token in ("0", "1", "long")] == [False, True, True]
    sessions.close()
