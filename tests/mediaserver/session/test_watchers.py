from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import pytest

from mediaserver.session.ending import ConnectionEnded
from mediaserver.session.watchers import Watcher, Watchers
from mediaserver.settings.model import Settings
from mediaserver.telemetry.metrics import Metrics
from signaling.messages import EndReason


class FakeSession(SimpleNamespace):
    """What watchers use of a session."""

    __hash__ = object.__hash__


def session(name: str | None = "door", subject: str | None = "ada", id_: str = "id") -> Any:
    return FakeSession(id=id_, name=name, subject=subject)


class Socket:
    """What watchers use of a socket: takes results while it is ``ready``."""

    def __init__(self) -> None:
        self.ready = True
        self.taken = asyncio.Event()
        self.sent: list[str] = []
        self.goes_on = asyncio.Event()
        self.goes_on.set()

    async def send_if_read(self, text: str) -> bool:
        self.taken.set()
        await self.goes_on.wait()
        if self.ready:
            self.sent.append(text)
        return self.ready

    async def send_text(self, text: str) -> None:
        self.sent.append(text)


def watcher(wanted: str = "door", *subjects: str | None, metrics: Metrics | None = None) -> Watcher:
    return Watcher(wanted, subjects or ("ada",), metrics or Metrics(), lambda reason: None)


async def told(one: Watcher) -> list[str]:
    """The states that wait to be sent."""
    socket: Any = Socket()
    sending = asyncio.create_task(one.send_events(socket))
    await asyncio.sleep(0)
    sending.cancel()
    return [json.loads(text)["state"] for text in socket.sent]


def watchers(**settings: int) -> Watchers:
    return Watchers(Settings(**settings), Metrics())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wanted", "subjects", "allowed"),
    [
        ("door", ("ada",), True),
        ("id", ("ada",), True),
        ("yard", ("ada",), False),
        ("door", ("eve",), False),
        ("id", ("eve",), False),
        ("door", ("eve", "ada"), True),
        ("door", (None,), False),
    ],
)
def test_only_what_was_asked_for_and_is_allowed(
    wanted: str, subjects: tuple[str | None, ...], allowed: bool
) -> None:
    assert watcher(wanted, *subjects).may_watch(session()) is allowed


async def test_who_comes_before_the_publisher_waits_for_it() -> None:
    hub, one, stream = watchers(), watcher(), session()
    hub.join(one)
    assert await told(one) == ["unpublished"]
    hub.published(stream)
    assert await told(one) == ["published"]
    assert hub.of(stream) == {one}


async def test_a_publisher_that_goes_and_comes_back_is_told_as_it_happens() -> None:
    hub, one, stream = watchers(), watcher(), session()
    hub.published(stream)
    hub.join(one)
    hub.unpublished(stream)
    hub.published(stream)
    hub.published(stream)
    assert await told(one) == ["published", "unpublished", "published"], "and no more often"


async def test_when_a_session_is_over_its_watchers_wait_for_the_next_of_that_name() -> None:
    hub, one = watchers(), watcher()
    first, second = session(id_="first"), session(id_="second")
    hub.published(first)
    hub.join(one)
    hub.unpublished(first)
    hub.over(first)
    hub.published(second)
    assert await told(one) == ["published", "unpublished", "published"]
    assert hub.of(second) == {one}


async def test_another_subject_s_stream_of_the_same_name_is_another_stream() -> None:
    """Nobody can take a name away from whom it belongs to, nor show their own in its place."""
    hub, of_ada, of_eve = watchers(), watcher("door", "ada"), watcher("door", "eve")
    hub.join(of_ada)
    hub.join(of_eve)
    stream_of_eve = session(subject="eve")
    hub.published(stream_of_eve)
    assert hub.of(stream_of_eve) == {of_eve}
    assert await told(of_ada) == ["unpublished"]


async def test_one_s_own_stream_comes_before_those_of_others() -> None:
    hub = watchers()
    of_bob, of_ada = session(subject="bob", id_="1"), session(subject="ada", id_="2")
    hub.published(of_bob)
    hub.published(of_ada)
    one = watcher("door", "ada", "bob")
    hub.join(one)
    assert one.session is of_ada


async def test_who_leaves_gets_nothing_more() -> None:
    hub, one, stream = watchers(), watcher(), session()
    hub.published(stream)
    hub.join(one)
    hub.leave(one)
    assert hub.of(stream) == set()
    hub.over(stream)


async def test_they_are_counted_and_have_limits_together_and_by_subject() -> None:
    metrics = Metrics()
    hub = Watchers(Settings(max_watchers=3, max_watchers_per_subject=2), metrics)
    of_ada = [watcher() for _ in range(3)]
    hub.join(of_ada[0])
    hub.join(of_ada[1])
    with pytest.raises(ConnectionEnded, match="too_many_sessions"):
        hub.join(of_ada[2])
    hub.join(watcher("door", "bob"))
    with pytest.raises(ConnectionEnded, match="server_full"):
        hub.join(watcher("door", "eve"))
    assert metrics.registry.get_sample_value("mediaserver_watchers") == 3
    hub.leave(of_ada[0])
    hub.join(of_ada[2])


async def test_a_slow_watcher_gets_the_newest_result_and_makes_nobody_wait() -> None:
    metrics, socket = Metrics(), Socket()
    one = watcher(metrics=metrics)
    taker: Any = socket
    sending = asyncio.create_task(one.send_results(taker))
    socket.goes_on.clear()
    one.put_result("1")
    await socket.taken.wait()
    for number in range(2, 10):
        one.put_result(str(number))  # returns at once, whatever the socket does
    socket.goes_on.set()
    await asyncio.sleep(0.01)
    assert socket.sent == ["1", "9"]
    socket.ready = False
    one.put_result("10")
    await asyncio.sleep(0.01)
    sending.cancel()
    assert metrics.registry.get_sample_value("mediaserver_watcher_results_sent_total") == 2
    assert metrics.registry.get_sample_value("mediaserver_watcher_results_dropped_total") == 8


async def test_events_are_not_lost_and_who_does_not_take_them_is_ended() -> None:
    ended: list[EndReason] = []
    one = Watcher("door", ("ada",), Metrics(), ended.append)
    for number in range(64):
        one.put_event(str(number))
    assert not ended
    one.put_event("one too many")
    assert ended == [EndReason.CLIENT_GONE]
