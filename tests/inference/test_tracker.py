from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from inference.catalogue import find_models
from inference.engines.contract import Task
from inference.engines.embedded import EmbeddedEngine
from inference.heads.detections import decode
from inference.matching import iou
from inference.tracker import MAX_TRACKS, Tracker
from inference.types import FRAME_HEIGHT, FRAME_WIDTH, Box, Floats
from tests.support.frames import canvas_of, frames

CANVAS = (FRAME_WIDTH, FRAME_HEIGHT, FRAME_WIDTH, FRAME_HEIGHT)
LEFT: Box = (0.1, 0.2, 0.2, 0.5)
RIGHT: Box = (0.6, 0.2, 0.2, 0.5)


def array(*boxes: Box) -> Floats:
    return np.array(boxes, np.float32).reshape(-1, 4)


def moved(box: Box, dx: float) -> Box:
    return (box[0] + dx, *box[1:])


def people(*boxes: Box) -> tuple[Floats, list[str]]:
    """What a stage found: persons only."""
    return array(*boxes), ["person"] * len(boxes)


def persons(tracker: Tracker, time_s: float, *boxes: Box) -> list[int]:
    return tracker.update(time_s, people(*boxes))[0]


def test_iou_of_equal_overlapping_and_apart() -> None:
    square = array((0.0, 0.0, 0.2, 0.2))
    others = array((0.0, 0.0, 0.2, 0.2), (0.1, 0.0, 0.2, 0.2), (0.5, 0.5, 0.2, 0.2), (0.1, 0.1, 0.0, 0.0))
    assert iou(square, others)[0] == pytest.approx([1.0, 1 / 3, 0.0, 0.0])


def test_ids_follow_objects_whatever_their_order() -> None:
    tracker = Tracker()
    left, right = persons(tracker, 0.0, LEFT, RIGHT)
    assert left != right
    for step in range(1, 10):
        seen = persons(tracker, step * 0.1, moved(RIGHT, -0.02 * step), moved(LEFT, 0.02 * step))
        assert seen == [right, left]


def test_an_object_as_fast_as_its_width_is_followed_once_its_velocity_is_known() -> None:
    tracker = Tracker()
    x, dx = 0.0, 0.0
    first = persons(tracker, 0.0, (x, 0.2, 0.1, 0.3))
    for step in range(1, 14):
        dx = min(dx + 0.015, 0.1)
        x += dx
        assert persons(tracker, step * 0.1, (x, 0.2, 0.1, 0.3)) == first


@pytest.mark.parametrize(("gap_s", "kept"), [(0.5, True), (1.0, True), (1.1, False)])
def test_an_id_lives_through_one_second_of_missed_frames(gap_s: float, kept: bool) -> None:
    tracker = Tracker()
    before = persons(tracker, 2.0, LEFT)
    persons(tracker, 2.0 + gap_s / 2)
    assert (persons(tracker, 2.0 + gap_s, LEFT) == before) is kept


def test_a_label_that_flips_ends_no_track() -> None:
    tracker = Tracker()
    ids = [
        tracker.update(step * 0.1, (array(moved(LEFT, 0.01 * step)), [label]))[0]
        for step, label in enumerate(("dog", "dog", "bird", "dog", "bird", "bird", "dog"))
    ]
    assert ids == [ids[0]] * len(ids)


def test_labels_tell_apart_what_is_in_one_place() -> None:
    tracker = Tracker()
    ((rider, bicycle),) = tracker.update(0.0, (array(LEFT, LEFT), ["person", "bicycle"]))
    assert tracker.update(0.1, (array(LEFT, LEFT), ["bicycle", "person"])) == [[bicycle, rider]]


def test_a_pose_has_the_id_of_its_person() -> None:
    boxes = array(LEFT, LEFT, RIGHT)
    labels = ["dog", "person", "person"]
    poses = people(moved(RIGHT, 0.03), moved(LEFT, -0.02))
    (dog, left, right), pose_ids = Tracker().update(0.0, (boxes, labels), poses)
    assert pose_ids == [right, left]
    assert len({left, right, dog}) == 3


def test_one_person_lends_its_id_to_one_pose_only() -> None:
    (person,), poses = Tracker().update(0.0, people(LEFT), people(moved(LEFT, 0.05), LEFT))
    assert poses[1] == person
    assert poses[0] != person


def test_a_pose_keeps_its_id_while_the_detection_comes_and_goes() -> None:
    tracker = Tracker()
    _, (alone,) = tracker.update(0.0, people(), people(LEFT))
    both = tracker.update(0.1, people(moved(LEFT, 0.01)), people(LEFT))
    again = tracker.update(0.2, people(), people(LEFT))
    assert both == [[alone], [alone]]
    assert again == [[], [alone]]


def test_time_going_back_ends_all_tracks_and_uses_no_id_twice() -> None:
    tracker = Tracker()
    before = persons(tracker, 100.0, LEFT, RIGHT)
    after = persons(tracker, 3.0, LEFT, RIGHT)
    assert not set(before) & set(after)


def test_tracks_are_bounded() -> None:
    tracker = Tracker()
    for row in range(10):
        crowd = [(0.01 * column, 0.1 * row, 0.008, 0.05) for column in range(100)]
        ids = persons(tracker, row * 0.001, *crowd)
    assert persons(tracker, 0.5, *crowd) == ids, "the newest are kept"
    assert len(tracker._tracks) == MAX_TRACKS


async def test_walkers_keep_their_ids(models_dir: Path, media_dir: Path) -> None:
    """Ten seconds at 5 fps with six walkers at a time, some of whom enter, leave or pass each other."""
    engine = await EmbeddedEngine.open({Task.DETECT: find_models(models_dir)[Task.DETECT]})
    info = engine.models[Task.DETECT]
    tracker = Tracker()
    seen: list[list[int]] = []
    for time_s, picture in frames(media_dir / "people.mp4", every=6, until_s=10.0):
        (head,) = await engine.infer(Task.DETECT, canvas_of(picture)[np.newaxis])
        found = decode((head[0],), info, 0.35)
        walkers = found.boxes[[info.labels[index] == "person" for index in found.classes]]
        seen.append(persons(tracker, time_s, *(walkers / CANVAS).tolist()))
    await engine.close()

    assert sum(map(len, seen)) > 5 * len(seen)
    # 18 when written; 31 without prediction, 60 with a minimum overlap of 0.3 besides.
    assert len(set().union(*seen)) <= 22


def test_an_outline_has_the_id_of_what_it_overlaps_in_any_stage_before_it() -> None:
    poses, outlines = (
        people(RIGHT),
        (array(moved(LEFT, 0.02), moved(RIGHT, 0.02), LEFT), ["dog", "person", "cat"]),
    )
    (dog,), (person,), ids = Tracker().update(0.0, (array(LEFT), ["dog"]), poses, outlines)
    assert ids[:2] == [dog, person]
    assert ids[2] not in (dog, person), "a cat is no dog"
