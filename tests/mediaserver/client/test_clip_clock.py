from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

import pytest

from mediaserver.client.clip_clock import CLOCK_HZ, ClipClock

HOUR = 3_600_000


def placed(times: Sequence[int], decoded: Sequence[int] | None = None) -> tuple[list[int], int]:
    """Milliseconds of frames at ``times`` ms, and the cuts."""
    clock = ClipClock(Fraction(1, 1000), framerate=25)
    ticks = [clock.ticks(pts, dts) for pts, dts in zip(times, decoded or times, strict=True)]
    assert all(later > earlier for earlier, later in pairwise(ticks))
    return [round(tick / (CLOCK_HZ / 1000)) for tick in ticks], clock.cuts


def test_times_count_from_the_first_frame_and_stay_uneven() -> None:
    assert placed([HOUR, HOUR + 40, HOUR + 240, HOUR + 250]) == ([0, 40, 240, 250], 0)
    assert placed([-500, -460, -400]) == ([0, 40, 100], 0)


@pytest.mark.parametrize("jump", [HOUR, -HOUR, 24 * HOUR, 60_000, -3_000])
def test_a_clock_that_jumps_is_a_cut(jump: int) -> None:
    times = [10 * HOUR, 10 * HOUR + 40, 10 * HOUR + jump, 10 * HOUR + jump + 40]
    assert placed(times) == ([0, 40, 80, 120], 1)


def test_a_single_wrong_time_loses_nothing() -> None:
    assert placed([0, 40, HOUR, 120, 160]) == ([0, 40, 80, 120, 160], 2)


def test_a_recorder_that_began_anew_after_a_second_is_a_cut() -> None:
    times = [*range(0, 1000, 40), *range(0, 1000, 40)]
    assert placed(times) == ([*range(0, 2000, 40)], 1)


def test_a_decoder_in_disorder_is_no_cut() -> None:
    """Where packets are missing, frames come out of order, though packets were decoded in theirs."""
    times, cuts = placed([0, 40, 900, 80, 120, 980, 1020], [0, 40, 80, 120, 160, 200, 240])
    assert cuts == 0
    assert times[:3] == [0, 40, 900]
    assert times[-1] == 1020


def test_a_long_look_at_one_screen_is_no_cut() -> None:
    assert placed([0, 40, 20_000, 20_040]) == ([0, 40, 20_000, 20_040], 0)


def test_a_time_that_is_written_twice_moves_nothing_else() -> None:
    assert placed([0, 40, 40, 80, 120]) == ([0, 40, 60, 80, 120], 0)


def test_frames_without_times_come_at_the_rate() -> None:
    clock = ClipClock(Fraction(1, 1000), framerate=25)
    assert [clock.ticks(None, None) for _ in range(3)] == [0, 3600, 7200]
