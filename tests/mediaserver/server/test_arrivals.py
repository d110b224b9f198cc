from __future__ import annotations

import pytest

from mediaserver.server.arrivals import Arrivals


def test_a_burst_begins_at_once_and_what_follows_is_paced() -> None:
    arrivals = Arrivals()
    waits = [arrivals.wait_s("192.0.2.1", 50.0) for _ in range(150)]
    assert waits[:100] == [0.0] * 100
    assert waits[100:] == pytest.approx([number / 100 for number in range(1, 51)])
    assert arrivals.wait_s("192.0.2.1", 60.0) == 0.0


def test_too_many_that_wait_are_refused_and_take_no_place() -> None:
    arrivals = Arrivals()
    waits = [arrivals.wait_s("192.0.2.1", 50.0) for _ in range(1000)]
    assert waits.count(None) == pytest.approx(700, abs=1)
    assert arrivals.wait_s("192.0.2.1", 50.5) == pytest.approx(1.5, abs=0.02)


def test_one_network_delays_no_other() -> None:
    arrivals = Arrivals()
    for _ in range(1000):
        arrivals.wait_s("2001:db8::1", 50.0)
    assert arrivals.wait_s("2001:db8::2", 50.0) is None
    assert arrivals.wait_s("2001:db8:0:1::2", 50.0) == 0.0


def test_networks_that_came_once_are_forgotten() -> None:
    arrivals = Arrivals()
    for number in range(5000):
        arrivals.wait_s(f"host {number}", 50.0 + number)
    assert len(arrivals._empty_at) < 1100
