from __future__ import annotations

import pytest

from mediaserver.client.clock_offset import ClockOffset


def answer(clock: ClockOffset, number: int, asked_ms: float, server_ms: float, answered_ms: float) -> None:
    clock.asked(number, asked_ms)
    clock.answered(number, server_ms, answered_ms)


def test_nothing_is_known_before_the_first_answer() -> None:
    clock = ClockOffset()
    clock.asked(1, 1000.0)
    clock.answered(2, 6010.0, 1020.0)
    assert clock.offset_ms is None


def test_the_fastest_answer_counts() -> None:
    """The server's clock is 5 s ahead; the second ping waited for 2 s in a queue on its way up."""
    clock = ClockOffset()
    answer(clock, 1, 1000.0, 6010.0, 1020.0)
    answer(clock, 2, 2000.0, 9010.0, 4020.0)
    assert clock.offset_ms == pytest.approx(5000.0)


def test_old_answers_are_forgotten() -> None:
    clock = ClockOffset()
    answer(clock, 1, 0.0, 5000.0, 1.0)
    for second in range(1, 100):
        answer(clock, 1 + second, 1000.0 * second, 1000.0 * second + 10.0, 1000.0 * second + 20.0)
    assert clock.offset_ms == pytest.approx(0.0)


def test_a_server_that_never_answers_leaves_nothing_to_pile_up() -> None:
    clock = ClockOffset()
    for number in range(1000):
        clock.asked(number, 1000.0 * number)
    clock.answered(0, 5000.0, 1_000_000.0)
    assert clock.offset_ms is None, "it is forgotten"
    clock.answered(999, 1_004_050.0, 999_100.0)
    assert clock.offset_ms == pytest.approx(5000.0)
