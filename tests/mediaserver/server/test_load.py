from __future__ import annotations

import pytest

from mediaserver.server.load import Gate, LoadMeter


def measured(
    seconds: int,
    *,
    loop: float = 0.0,
    threads: float = 0.0,
    late_s: float = 0.0,
    meter: LoadMeter | None = None,
) -> LoadMeter:
    """After so many seconds in which the event loop and the threads use so much of a processor each."""
    meter = meter or LoadMeter(processors=4)
    for second in range(seconds + 1):
        meter.take_lag(late_s)
        meter.look(float(second), second * loop, second * threads)
    return meter


def test_what_is_used_lasts_until_it_shows() -> None:
    load = measured(30, loop=0.5, threads=1.5).load
    assert load.processor == pytest.approx(0.5, abs=0.01), "two of four processors"
    assert load.event_loop == pytest.approx(0.5, abs=0.01), "half of the one that it can have"


def test_a_late_event_loop_is_a_full_one_though_no_processor_is_used() -> None:
    assert measured(30, late_s=0.05).load.event_loop == pytest.approx(1.0, abs=0.01)
    assert measured(30, late_s=0.0).load.event_loop == 0.0


def test_a_burst_is_no_load() -> None:
    assert measured(3, loop=1.0).load.event_loop < 0.8


def test_one_long_standstill_is_forgotten_soon() -> None:
    meter = LoadMeter(processors=1)
    meter.look(0.0, 0.0, 0.0)
    meter.take_lag(60.0)
    meter.look(60.0, 0.0, 0.0)
    assert meter.load.event_loop < 0.8


def test_a_gate_that_has_closed_opens_only_when_there_is_room_again() -> None:
    gate = Gate()
    seen = []
    for load in (0.5, 0.94, 0.96, 0.9, 0.81, 0.79, 0.9, 1.2):
        changed = gate.look(load)
        seen.append((gate.is_closed, changed))
    assert [closed for closed, _ in seen] == [False, False, True, True, True, False, False, True]
    assert [changed for _, changed in seen] == [False, False, True, False, False, True, False, True]
