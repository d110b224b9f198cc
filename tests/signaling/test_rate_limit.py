from __future__ import annotations

from signaling.rate_limit import RateLimit


def test_a_burst_is_allowed_and_then_the_steady_rate() -> None:
    limit = RateLimit(rate=2, burst=3)
    assert [limit.allows(0.0) for _ in range(4)] == [True, True, True, False]
    assert limit.allows(0.5)
    assert not limit.allows(0.6)


def test_what_costs_more_than_is_left_is_not_allowed_and_takes_nothing() -> None:
    limit = RateLimit(rate=10, burst=10)
    assert limit.allows(0.0, cost=8)
    assert not limit.allows(0.0, cost=3)
    assert limit.allows(0.0, cost=2)


def test_unused_tokens_do_not_add_up_beyond_the_burst() -> None:
    limit = RateLimit(rate=10, burst=2)
    assert limit.allows(0.0)
    assert [limit.allows(100.0) for _ in range(3)] == [True, True, False]
