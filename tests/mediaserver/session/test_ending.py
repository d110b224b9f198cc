from __future__ import annotations

import asyncio
from functools import partial

import pytest

from mediaserver.session.ending import END_RULES, ConnectionEnded, Ending
from signaling.messages import EndReason
from signaling.websocket import SocketClosed


def test_every_reason_has_its_rule() -> None:
    assert END_RULES.keys() == set(EndReason)


def test_a_client_that_may_come_back_is_told_when() -> None:
    """But for the one whose session another connection has taken over: it is its own other self."""
    for reason, rule in END_RULES.items():
        assert rule.retry_after_s is not None or not rule.resumable or reason is EndReason.REPLACED, reason


async def test_the_first_reason_stands() -> None:
    ending = Ending()
    assert ending.reason is None
    waiting = asyncio.create_task(ending.wait())
    ending.ask(EndReason.BYE)
    ending.ask(EndReason.INTERNAL_ERROR)
    assert await waiting is EndReason.BYE is ending.reason


async def test_who_waits_for_the_end_may_be_cancelled_and_others_still_ask_for_it() -> None:
    ending = Ending()
    waiting = asyncio.create_task(ending.wait())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    ending.ask(EndReason.BYE)
    assert ending.reason is EndReason.BYE


@pytest.mark.parametrize("symptom", [EndReason.CLIENT_GONE, EndReason.NO_MEDIA, EndReason.MEDIA_TIMEOUT])
async def test_a_reason_that_only_follows_from_another_gives_way_to_it(symptom: EndReason) -> None:
    ending = Ending()
    ending.suspect(EndReason.DTLS_FAILED)
    ending.ask(symptom)
    assert ending.reason is EndReason.DTLS_FAILED


async def test_what_has_its_own_reason_keeps_it_and_a_suspicion_may_be_dropped() -> None:
    ending, other = Ending(), Ending()
    for each in (ending, other):
        each.suspect(EndReason.DTLS_FAILED)
    ending.ask(EndReason.BYE)
    other.suspect(None)
    other.ask(EndReason.CLIENT_GONE)
    assert (ending.reason, other.reason) == (EndReason.BYE, EndReason.CLIENT_GONE)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ConnectionEnded(EndReason.NO_MEDIA), EndReason.NO_MEDIA),
        (SocketClosed(EndReason.PING_TIMEOUT), EndReason.PING_TIMEOUT),
        (ZeroDivisionError(), EndReason.INTERNAL_ERROR),
    ],
)
async def test_an_error_ends_the_connection_with_a_reason_and_reaches_nobody(
    error: Exception, reason: EndReason
) -> None:
    async def fail() -> None:
        raise error

    ending = Ending()
    await ending.guard(fail)
    assert ending.reason is reason


async def test_what_ends_well_does_not_end_the_connection() -> None:
    ending = Ending()
    await ending.guard(partial(asyncio.sleep, 0))
    assert ending.reason is None


async def test_a_session_that_memory_does_not_last_for_ends_in_one_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ending = Ending()

    async def work() -> None:
        raise MemoryError

    await ending.guard(work)
    assert await ending.wait() is EndReason.SERVER_FULL
    [record] = caplog.records
    assert record.exc_info is None
    assert "out of memory" in record.getMessage()
