from __future__ import annotations

import numpy as np
import pytest

from inference.constant_velocity import ConstantVelocity

GAP_S = 0.1


def seen(*places: float, gap_s: float = GAP_S) -> ConstantVelocity:
    """Who was at these x, one after another."""
    motion = ConstantVelocity(places[0], 0.5)
    for x in places[1:]:
        motion.see(x, 0.5, gap_s)
    return motion


@pytest.mark.parametrize(("gap_s", "least"), [(0.2, 0.8), (0.1, 0.7)])
def test_the_second_sighting_already_says_most_of_how_fast(gap_s: float, least: float) -> None:
    motion = seen(0.1, 0.1 + 0.5 * gap_s, gap_s=gap_s)
    assert 0.5 * least < motion.vx < 0.5


def test_what_goes_on_evenly_is_foretold() -> None:
    motion = seen(*(0.1 + 0.03 * step for step in range(12)))
    assert (motion.vx, motion.vy) == (pytest.approx(0.3, abs=0.003), 0.0)
    assert motion.ahead(0.2) == (pytest.approx(0.1 + 0.03 * 13, abs=0.003), 0.5)


def test_it_is_known_within_half_a_second_that_someone_turned() -> None:
    motion = seen(*(0.1 + 0.03 * step for step in range(10)), *(0.37 - 0.03 * step for step in range(1, 6)))
    assert motion.vx < 0.0


def test_jitter_is_smaller_in_it_than_from_box_to_box() -> None:
    random = np.random.default_rng(1)
    motion, velocities = ConstantVelocity(0.5, 0.5), []
    for _ in range(100):
        motion.see(0.5 + random.normal(0, 0.003), 0.5, GAP_S)
        velocities.append(motion.vx)
    assert np.std(velocities) < 0.003 * np.sqrt(2) / GAP_S / 2


def test_the_longer_unseen_the_more_uncertain() -> None:
    motion = seen(0.1, 0.13, 0.16)
    assert motion.variance(0.1) < motion.variance(0.5) < motion.variance(1.0)


def test_another_measurement_refines_only_where_it_agrees() -> None:
    agreeing, absurd = seen(0.1, 0.13, 0.16), seen(0.1, 0.13, 0.16)
    before = agreeing.vx
    agreeing.refine(0.31, 0.0, size=0.2)
    absurd.refine(-3.0, 0.0, size=0.2)
    assert abs(agreeing.vx - 0.31) < abs(before - 0.31)
    assert absurd.vx == before
