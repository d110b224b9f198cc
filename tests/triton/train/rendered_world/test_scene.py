from __future__ import annotations

import math

import numpy as np
import pytest

from rendered_world.canvas import WIDTH, Canvas
from rendered_world.figure import ANKLE, SHOULDER
from rendered_world.person import Person, random_look, standing
from rendered_world.scene import HIDDEN, VISIBLE, Scene, marks_on, still
from rendered_world.things import LABELS, Bus, Car, Sign

LOOK = random_look(np.random.default_rng(1))


def test_a_scene_is_the_same_each_time_it_is_asked_for() -> None:
    (one, marks), (other, same_marks) = still(7), still(7)
    assert (one == other).all()
    assert [mark.box for mark in marks] == [mark.box for mark in same_marks]
    assert not np.array_equal(one, still(8)[0])


def test_marks_lie_in_the_picture_and_are_of_known_labels() -> None:
    seen = set()
    for seed in range(60):
        picture, marks = still(seed)
        assert picture.shape == (240, 320, 3)
        for mark in marks:
            x, y, width, height = mark.box
            assert 0 <= x < x + width <= 640
            assert 0 <= y < y + height <= 480
            assert (mark.keypoints is not None) == (mark.label == "person")
            assert bool(mark.text) == (mark.label == "sign")
            seen.add(mark.label)
    assert seen == set(LABELS)


def test_joints_behind_another_thing_are_marked_as_hidden() -> None:
    scene = Scene(Canvas(WIDTH))
    scene.put_person(Person(300, 400, 300, standing(0.0), LOOK))
    scene.put(Bus(300, 420, 400, 1, (200, 160, 40)))
    person, bus = scene.truths()
    assert (person.label, bus.label) == ("person", "bus")
    assert person.keypoints is not None
    assert person.keypoints[SHOULDER, 2] == VISIBLE
    assert person.keypoints[ANKLE, 2] == HIDDEN


def test_what_is_all_behind_another_thing_is_not_marked() -> None:
    scene = Scene(Canvas(WIDTH))
    scene.put_person(Person(300, 400, 100, standing(0.0), LOOK))
    scene.put(Bus(300, 420, 500, 1, (200, 160, 40)))
    assert [truth.label for truth in scene.truths()] == ["bus"]


def test_joints_outside_the_picture_are_not_marked() -> None:
    scene = Scene(Canvas(WIDTH))
    scene.put_person(Person(320, 900, 800, standing(0.0), LOOK))
    (person,) = scene.truths()
    assert person.keypoints is not None
    assert person.keypoints[ANKLE].tolist() == [0, 0, 0]
    assert person.keypoints[SHOULDER, 2] == VISIBLE


@pytest.mark.parametrize(
    "thing",
    [Car(300, 300, 180, -1, (200, 30, 30), 0.5), Sign(300, 200, 60, "OPEN", (0, 0, 90), (255, 255, 255))],
)
def test_boxes_hold_all_that_was_drawn_and_no_more(thing: Car | Sign) -> None:
    scene = Scene(Canvas(WIDTH))
    scene.put(thing)
    (truth,) = scene.truths()
    rows, columns = np.nonzero(scene.canvas.owners)
    drawn = (columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1)
    assert truth.box == pytest.approx(drawn, abs=2)


def test_marks_can_be_looked_at() -> None:
    picture, marks = still(3)
    shown = marks_on(picture, marks)
    assert shown.shape == picture.shape
    assert math.isclose(float((shown != picture).any(axis=2).mean()), 0.05, abs_tol=0.05)
