from __future__ import annotations

import cv2
import numpy as np
import pytest

from inference.flow import FlowEstimator, FlowField
from inference.types import Image, Motion

GAP_S = 0.1


@pytest.fixture(scope="module")
def scene() -> Image:
    """A textured picture, larger than any canvas cut from it."""
    noise = np.random.default_rng(7).integers(0, 256, (80, 100, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(noise, (400, 320), interpolation=cv2.INTER_CUBIC), np.uint8)


def view(scene: Image, x: int, y: int, width: int = 320, height: int = 240) -> Image:
    return scene[y : y + height, x : x + width]


def flow_between(before: Image, after: Image, gap_s: float = GAP_S) -> FlowField:
    estimator = FlowEstimator()
    assert estimator.update(before, 5.0) is None
    field = estimator.update(after, 5.0 + gap_s)
    assert field is not None
    return field


def known_motion(field: FlowField) -> Motion:
    motion = field.global_motion()
    assert motion is not None
    return motion


@pytest.mark.parametrize(("dx", "dy"), [(4, 0), (-4, 0), (0, 5), (0, -5), (8, -6), (-3, 7)])
def test_global_motion_is_the_shift_of_the_picture_per_second(scene: Image, dx: int, dy: int) -> None:
    # The window moves left where the picture is to move right.
    motion = known_motion(flow_between(view(scene, 40, 40), view(scene, 40 - dx, 40 - dy)))

    expected = np.array((dx / 320, dy / 240)) / GAP_S
    assert (motion.dx, motion.dy) == pytest.approx(tuple(expected), rel=0.1, abs=0.01)
    assert motion.magnitude == pytest.approx(np.hypot(*expected), rel=0.1)


def test_velocity_is_relative_to_the_picture_given_not_to_the_canvas(scene: Image) -> None:
    # A 16:9 frame fills 320×180 of the canvas: 6 px down are 1/30 of its height.
    before, after = view(scene, 40, 40, height=180), view(scene, 40, 34, height=180)
    assert known_motion(flow_between(before, after)).dy == pytest.approx(6 / 180 / GAP_S, rel=0.1)


def test_the_same_shift_in_twice_the_time_is_half_the_velocity(scene: Image) -> None:
    before, after = view(scene, 40, 40), view(scene, 36, 40)
    quick = known_motion(flow_between(before, after, 0.1))
    slow = known_motion(flow_between(before, after, 0.2))
    assert slow.dx == pytest.approx(quick.dx / 2, abs=1e-4)


def test_a_moving_object_has_its_own_velocity_and_leaves_the_picture_still(scene: Image) -> None:
    background, patch = view(scene, 0, 0), view(scene, 300, 150, 80, 80)
    before, after = background.copy(), background.copy()
    before[100:180, 100:180] = patch
    after[100:180, 104:184] = patch

    field = flow_between(before, after)

    assert field.velocity_in((104 / 320, 100 / 240, 80 / 320, 80 / 240)) == pytest.approx(
        (4 / 320 / GAP_S, 0.0), rel=0.1, abs=0.01
    )
    assert field.velocity_in((0.7, 0.1, 0.2, 0.2)) == pytest.approx((0.0, 0.0), abs=0.01)
    assert known_motion(field).magnitude == pytest.approx(0.0, abs=0.01)


@pytest.mark.parametrize("shift", [30, 40])
def test_motion_is_unknown_where_the_picture_moved_too_far(scene: Image, shift: int) -> None:
    assert flow_between(view(scene, 40, 40), view(scene, 40 + shift, 40)).global_motion() is None


def test_motion_is_unknown_where_there_is_nothing_to_see_and_after_a_cut(scene: Image) -> None:
    wall = np.full((240, 320, 3), 120, np.uint8)
    assert flow_between(wall, wall).global_motion() is None
    assert (
        flow_between(view(scene, 0, 0), np.ascontiguousarray(view(scene, 60, 60)[::-1])).global_motion()
        is None
    )


def test_motion_is_known_while_the_light_changes(scene: Image) -> None:
    before = view(scene, 40, 40)
    brighter = np.clip(view(scene, 37, 40).astype(np.int16) + 8, 0, 255).astype(np.uint8)
    assert known_motion(flow_between(before, brighter)).dx == pytest.approx(3 / 320 / GAP_S, rel=0.15)


def test_a_long_step_is_not_followed_in_detail(scene: Image) -> None:
    field = flow_between(view(scene, 40, 40), view(scene, 36, 40))
    assert field.follows((5 / 320 / GAP_S, 0.0))
    assert not field.follows((20 / 320 / GAP_S, 0.0))


@pytest.mark.parametrize("box", [(0.5, 0.5, 0.0, 0.0), (0.999, 0.999, 0.01, 0.01), (1.2, -0.4, 0.1, 0.1)])
def test_a_tiny_or_outside_box_takes_the_nearest_cell(scene: Image, box: tuple[float, ...]) -> None:
    field = flow_between(view(scene, 40, 40), view(scene, 36, 40))
    x, y, width, height = box
    assert np.isfinite(field.velocity_in((x, y, width, height))).all()


@pytest.mark.parametrize("time_s", [5.0, 4.9, 6.01])
def test_starts_afresh_when_time_stops_goes_back_or_leaps(scene: Image, time_s: float) -> None:
    estimator = FlowEstimator()
    estimator.update(view(scene, 0, 0), 5.0)
    assert estimator.update(view(scene, 4, 0), time_s) is None
    assert estimator.update(view(scene, 8, 0), time_s + GAP_S) is not None


def test_starts_afresh_when_the_size_changes(scene: Image) -> None:
    estimator = FlowEstimator()
    estimator.update(view(scene, 0, 0), 5.0)
    assert estimator.update(view(scene, 0, 0, height=180), 5.1) is None
    assert estimator.update(view(scene, 0, 0, height=180), 5.2) is not None
