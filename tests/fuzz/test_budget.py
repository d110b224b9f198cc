from __future__ import annotations

import contextlib
import itertools
import time

import pytest

from tests.fuzz.budget import Budget, SlowInput, spend


def busy(seconds: float) -> None:
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass


def test_an_input_that_takes_more_than_its_bytes_allow_is_slow() -> None:
    budget = Budget(base_s=0.0, per_byte_s=0.001)
    spend(budget, lambda data: busy(0.01), bytes(1000))
    with pytest.raises(SlowInput, match="10 bytes"):
        spend(budget, lambda data: busy(0.05), bytes(10))


def test_an_input_that_was_slow_once_is_not_slow() -> None:
    times = iter([0.05, 0.0])
    spend(Budget(base_s=0.02), lambda data: busy(next(times)), b"")


def test_an_input_that_never_ends_is_stopped() -> None:
    def swallow(data: bytes) -> None:
        for _ in itertools.count():
            with contextlib.suppress(Exception):  # as the code under test may
                busy(0.01)

    with pytest.raises(SlowInput, match="still at work"):
        spend(Budget(), swallow, b"")
