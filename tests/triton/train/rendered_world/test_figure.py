from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from rendered_world.canvas import WIDTH, Canvas
from rendered_world.figure import (
    ANKLE,
    FLIPPED,
    LEFT_EYE,
    NOSE,
    RIGHT_EYE,
    SHOULDER,
    WRIST,
    draw,
    skeleton,
)
from rendered_world.person import Limb, Person, Pose, random_look, random_pose, standing, walking, waving

LEFT, RIGHT = 0, 1


def person(pose: Pose) -> Person:
    return Person(320, 460, 400, pose, random_look(np.random.default_rng(1)))


def test_who_faces_the_camera_has_the_left_side_on_the_right_of_the_picture() -> None:
    bones = skeleton(person(standing(0.0)))
    assert bones.points[SHOULDER + LEFT, 0] > 320 > bones.points[SHOULDER + RIGHT, 0]
    assert bones.seen.all()


def test_who_turns_away_shows_no_face() -> None:
    bones = skeleton(person(standing(math.pi)))
    assert bones.points[SHOULDER + LEFT, 0] < 320 < bones.points[SHOULDER + RIGHT, 0]
    assert not bones.seen[[NOSE, LEFT_EYE, RIGHT_EYE]].any()
    assert bones.seen[[SHOULDER, SHOULDER + 1, ANKLE, ANKLE + 1]].all()


def test_a_hand_behind_the_back_is_not_seen_from_the_front() -> None:
    forwards = Pose(arms=(Limb(swing=0.5, spread=0.0, bend=1.6), Limb(spread=0.4)))
    assert skeleton(person(forwards)).seen[WRIST + LEFT]
    from_behind = skeleton(person(replace(forwards, yaw=math.pi)))
    assert not from_behind.seen[WRIST + LEFT]
    assert from_behind.seen[WRIST + RIGHT]


def test_from_the_side_only_the_near_eye_is_seen() -> None:
    to_the_left = skeleton(person(standing(math.pi / 2)))
    assert (to_the_left.seen[LEFT_EYE], to_the_left.seen[RIGHT_EYE]) == (False, True)


def test_feet_stand_on_the_ground_and_the_head_is_a_body_height_above() -> None:
    for pose in (standing(0.3), walking(1.0, 1.2), waving(0.5)):
        bones = skeleton(person(pose))
        assert bones.points[[ANKLE, ANKLE + 1], 1].max() == pytest.approx(460, abs=20)
        assert 460 - bones.points[NOSE, 1] == pytest.approx(370, abs=25)


def test_the_waving_hand_is_above_the_head() -> None:
    bones = skeleton(person(waving(0.0)))
    assert bones.points[WRIST + RIGHT, 1] < bones.points[NOSE, 1] < bones.points[WRIST + LEFT, 1]


def test_legs_swap_after_half_a_step_cycle() -> None:
    now, later = (skeleton(person(walking(phase, math.pi / 2))) for phase in (1.2, 1.2 + math.pi))
    assert now.points[ANKLE + LEFT, 0] == pytest.approx(later.points[ANKLE + RIGHT, 0], abs=1)


def test_mirroring_swaps_left_and_right_and_twice_is_nothing() -> None:
    assert [FLIPPED[index] for index in FLIPPED] == list(range(17))
    assert FLIPPED[WRIST + LEFT] == WRIST + RIGHT


@pytest.mark.parametrize("seed", range(8))
def test_any_pose_is_drawn_around_its_joints(seed: int) -> None:
    random = np.random.default_rng(seed)
    canvas = Canvas(WIDTH)
    with canvas.drawing_object() as (_, extent):
        bones = draw(canvas, Person(320, 430, 250, random_pose(random), random_look(random)))
    x, y, width, height = extent.box()
    assert (bones.points[:, 0] >= x).all()
    assert (bones.points[:, 0] <= x + width).all()
    assert (bones.points[:, 1] >= y).all()
    assert (bones.points[:, 1] <= y + height).all()
