from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from mediaserver.server import scoreboard
from mediaserver.session.ending import ConnectionEnded
from mediaserver.session.registry import SessionRegistry
from mediaserver.settings.model import Settings
from mediaserver.telemetry.metrics import Metrics
from signaling.messages import EndReason


class FakeSession(SimpleNamespace):
    """What the registry uses of a session."""

    __hash__ = object.__hash__

    async def close(self) -> None:
        self.closed = True


def session(token: str, subject: str | None = None, name: str | None = None) -> Any:
    return FakeSession(resume_token=token, id=f"id of {token}", subject=subject, name=name)


class Media:
    """What the registry uses of a session's media: there is none."""

    async def close(self) -> None: ...


def media() -> Any:
    return Media()


def resumed(sessions: SessionRegistry, *arguments: Any) -> Any:
    """The session that goes on."""
    found = sessions.resume(*arguments)
    assert found is not None
    return found[0]


def nothing() -> None: ...


def registry(
    resume_window_s: float, max_sessions: int = 8, of_one: int = 8, metrics: Metrics | None = None
) -> SessionRegistry:
    settings = Settings(
        resume_window_s=resume_window_s, max_sessions=max_sessions, max_sessions_per_subject=of_one
    )
    return SessionRegistry(settings, scoreboard.alone(max_sessions).rows[0], metrics or Metrics())


async def test_a_lost_client_finds_its_session_again() -> None:
    sessions = registry(10)
    lost = session("token")
    sessions.add(lost, media(), nothing)
    sessions.release(lost, nothing, EndReason.CLIENT_GONE)
    assert resumed(sessions, "token", None, nothing) is lost
    await sessions.close()


async def test_it_counts_who_is_there_and_who_may_come_back() -> None:
    sessions = registry(10)
    here, lost, done = session("here"), session("lost"), session("done")
    for each in (here, lost, done):
        sessions.add(each, media(), nothing)
    sessions.release(lost, nothing, EndReason.CLIENT_GONE)
    sessions.release(done, nothing, EndReason.BYE)
    assert len(sessions) == 2
    assert [sessions.holds(token, None) for token in ("here", "lost", "done")] == [True, True, False]
    await sessions.close()


async def test_after_the_window_it_is_gone() -> None:
    sessions = registry(0.02)
    lost = session("token")
    sessions.add(lost, media(), nothing)
    sessions.release(lost, nothing, EndReason.CLIENT_GONE)
    assert not hasattr(lost, "closed")
    await asyncio.sleep(0.06)
    assert sessions.resume("token", None, nothing) is None
    assert lost.closed


async def test_a_client_that_said_goodbye_cannot_come_back() -> None:
    sessions = registry(10)
    done = session("token")
    sessions.add(done, media(), nothing)
    sessions.release(done, nothing, EndReason.BYE)
    assert sessions.resume("token", None, nothing) is None


async def test_resuming_ends_the_connection_that_still_runs_the_session() -> None:
    sessions = registry(10)
    running = session("token")
    ended: list[str] = []

    def first() -> None:
        ended.append("first")

    sessions.add(running, media(), first)
    assert resumed(sessions, "token", None, nothing) == running
    assert ended == ["first"]
    # The first connection winds up later and must not take the session away from the second.
    sessions.release(running, first, EndReason.BYE)
    assert resumed(sessions, "token", None, nothing) is running
    await sessions.close()


async def test_lost_sessions_do_not_pile_up() -> None:
    sessions = registry(10, max_sessions=2)
    for number in range(5):
        lost = session(str(number))
        sessions.add(lost, media(), nothing)
        sessions.release(lost, nothing, EndReason.CLIENT_GONE)
    assert [sessions.resume(str(number), None, nothing) is not None for number in range(5)] == [
        False,
        False,
        False,
        True,
        True,
    ]
    await sessions.close()


async def test_a_long_session_that_was_just_lost_outlasts_those_lost_before_it() -> None:
    sessions = registry(10, max_sessions=2)
    long = session("long")
    sessions.add(long, media(), nothing)
    for number in range(2):
        lost = session(str(number))
        sessions.add(lost, media(), nothing)
        sessions.release(lost, nothing, EndReason.CLIENT_GONE)
        await asyncio.sleep(0.002)
    sessions.release(long, nothing, EndReason.CLIENT_GONE)
    assert [sessions.holds(token, None) for token in ("0", "1", "long")] == [False, True, True]
    await sessions.close()


async def test_a_place_is_for_a_client_and_a_session_that_waits_for_one_has_none() -> None:
    sessions = registry(10, max_sessions=1)
    first, second = session("first"), session("second")
    sessions.add(first, media(), nothing)
    with pytest.raises(ConnectionEnded, match="server_full"):
        sessions.add(second, media(), nothing)
    sessions.release(first, nothing, EndReason.CLIENT_GONE)
    sessions.add(second, media(), nothing)
    with pytest.raises(ConnectionEnded, match="server_full"):
        sessions.resume("first", None, nothing)
    sessions.release(second, nothing, EndReason.BYE)
    assert resumed(sessions, "first", None, nothing) is first, "it went on waiting"
    await sessions.close()


async def test_sessions_started_less_those_ended_are_those_that_live() -> None:
    metrics = Metrics()
    sessions = registry(10, max_sessions=2, metrics=metrics)

    def balance() -> tuple[float, float]:
        value = metrics.registry.get_sample_value
        started = value("mediaserver_sessions_started_total") or 0.0
        ended = sum(
            value("mediaserver_sessions_ended_total", {"reason": reason}) or 0.0 for reason in EndReason
        )
        return started - ended, value("mediaserver_sessions_live") or 0.0

    for number, reason in enumerate((EndReason.BYE, *[EndReason.MEDIA_TIMEOUT] * 3)):
        each = session(str(number))
        sessions.add(each, media(), nothing)
        assert balance() == (len(sessions), len(sessions))
        sessions.release(each, nothing, reason)
        assert balance() == (len(sessions), len(sessions))
    assert len(sessions) == 2, "of those that wait the longest lost one was forgotten"
    assert sessions.resume("3", None, nothing) is not None
    assert balance() == (2, 2)
    await sessions.close()
    assert balance() == (0, 0)


async def test_a_resume_token_in_other_hands_leads_nowhere() -> None:
    sessions = registry(10)
    of_ada = session("token", "ada")
    sessions.add(of_ada, media(), nothing)
    for thief in ("bob", None):
        assert not sessions.holds("token", thief)
        assert sessions.resume("token", thief, nothing) is None
    assert resumed(sessions, "token", "ada", nothing) is of_ada
    await sessions.close()


async def test_one_subject_has_so_many_places_and_the_others_the_rest() -> None:
    sessions = registry(10, max_sessions=4, of_one=2)
    first, second, third = (session(str(number), "ada") for number in range(3))
    sessions.add(first, media(), nothing)
    sessions.add(second, media(), nothing)
    with pytest.raises(ConnectionEnded, match="too_many_sessions"):
        sessions.add(third, media(), nothing)
    sessions.add(session("of bob", "bob"), media(), nothing)
    sessions.release(first, nothing, EndReason.CLIENT_GONE)
    sessions.add(session("3", "ada"), media(), nothing)
    with pytest.raises(ConnectionEnded, match="too_many_sessions"):
        sessions.resume("0", "ada", nothing)
    sessions.release(second, nothing, EndReason.BYE)
    assert resumed(sessions, "0", "ada", nothing) is first, "it went on waiting"
    await sessions.close()


async def test_lost_sessions_of_one_subject_push_out_its_own_alone() -> None:
    sessions = registry(10, max_sessions=4, of_one=2)
    of_bob = session("bob", "bob")
    sessions.add(of_bob, media(), nothing)
    sessions.release(of_bob, nothing, EndReason.CLIENT_GONE)
    for number in range(9):
        lost = session(str(number), "ada")
        sessions.add(lost, media(), nothing)
        sessions.release(lost, nothing, EndReason.CLIENT_GONE)
    assert [sessions.holds(str(number), "ada") for number in range(9)] == [False] * 7 + [True] * 2
    assert sessions.holds("bob", "bob")
    await sessions.close()
