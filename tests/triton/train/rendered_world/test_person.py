from __future__ import annotations

import math

import numpy as np

from rendered_world.person import random_look, random_pose, walking


def test_a_seed_gives_the_same_person_and_another_seed_another() -> None:
    one, same, other = (np.random.default_rng(seed) for seed in (1, 1, 2))
    first = random_look(one), random_pose(one)
    assert first == (random_look(same), random_pose(same))
    assert first != (random_look(other), random_pose(other))


def test_people_are_seen_from_all_sides_and_sit_stand_and_wave() -> None:
    random = np.random.default_rng(1)
    poses = [random_pose(random) for _ in range(300)]
    yaws = np.array([pose.yaw for pose in poses])
    assert ((np.abs(yaws) < 0.5).any(), (yaws > 1.5).any(), (yaws < -1.5).any()) == (True, True, True)
    assert any(min(leg.swing for leg in pose.legs) > 1 for pose in poses), "nobody sits"
    assert any(max(arm.spread for arm in pose.arms) > 2 for pose in poses), "nobody raises a hand"


def test_who_walks_swings_each_arm_against_the_leg_of_its_side() -> None:
    pose = walking(math.pi / 2, 0.0)
    for arm, leg in zip(pose.arms, pose.legs, strict=True):
        assert arm.swing * leg.swing < 0
