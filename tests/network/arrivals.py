"""When results came, and how old they were."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from typing import NamedTuple


class Arrival(NamedTuple):
    """One result: ``at`` in seconds of ``time.monotonic``, which all processes of a machine share."""

    at: float
    age_s: float | None
    seq: int


def longest_gap(results: Sequence[Arrival], begin: float, end: float) -> float:
    """Seconds without a result between two moments."""
    times = [begin, *(each.at for each in results if begin < each.at < end), end]
    return max(later - earlier for earlier, later in itertools.pairwise(times))


def ages(results: Sequence[Arrival], begin: float, end: float) -> list[float]:
    """Of the results between two moments, in ascending order."""
    return sorted(each.age_s for each in results if begin < each.at < end and each.age_s is not None)


def now() -> float:
    return time.monotonic()
