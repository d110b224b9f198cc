from __future__ import annotations

from signaling.rate_limit import RateLimit, RateLimits


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


def test_each_key_has_its_own_and_those_that_are_full_are_forgotten() -> None:
    limits = RateLimits(rate=1.0, burst=2.0)
    assert [limits.allows("a", 10.0) for _ in range(3)] == [True, True, False]
    assert limits.allows("b", 10.0)
    for number in range(5000):
        limits.allows(str(number), 20.0 + number)
    assert len(limits._limits) <= 1024
