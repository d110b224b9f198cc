from __future__ import annotations

from collections.abc import AsyncIterator
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from inference.catalogue import find_models
from inference.engines.contract import HeadLayout, ModelInfo, Task
from inference.engines.embedded import EmbeddedEngine
from inference.heads.candidates import UnknownHead
from inference.letterbox import Letterbox
from inference.ocr.turns import shared_turns
from inference.pipeline import Pipeline, PipelineOptions, TextsFound
from inference.preprocess import place
from inference.top_down import MAX_CROPS, Crops, TopDown, is_possible
from inference.types import Floats, Image
from tests.support.clips import picture, truth
from tests.support.frames import frame_of
from tests.support.tiny_models import KEYPOINTS, write_top_down_models

GREEN = (30, 220, 30)
PERSONS = ModelInfo(
    Task.DETECT, "persons", ("person",), HeadLayout.ULTRALYTICS_DETECT, place(320, 240, centred=True)
)
CROPS = ModelInfo(Task.POSE_CROP, "crops", (), None, None, crop_side=64)


async def ignore(found: TextsFound) -> None:
    pass


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[EmbeddedEngine]:
    """Red things and green persons, and their poses in crops."""
    engine = await EmbeddedEngine.open(find_models(write_top_down_models(tmp_path)))
    yield engine
    await engine.close()


def canvas_with(*boxes: tuple[int, int, int, int]) -> Image:
    """A grey canvas with green boxes x, y, width, height."""
    canvas = np.full((240, 320, 3), 90, np.uint8)
    for x, y, width, height in boxes:
        cv2.rectangle(canvas, (x, y), (x + width - 1, y + height - 1), GREEN, -1)
    return canvas


async def cut(engine: EmbeddedEngine, canvas: Image) -> Crops:
    return TopDown().cut(await engine.infer(Task.DETECT, canvas[np.newaxis]), engine.models, canvas, 0.0)


@pytest.mark.parametrize("size", [(640, 480), (480, 640), (1000, 300)])
async def test_joints_come_back_in_coordinates_of_the_frame_that_was_sent(
    engine: EmbeddedEngine, executor: Executor, size: tuple[int, int]
) -> None:
    pipeline = Pipeline(engine, PipelineOptions(), executor, shared_turns())
    result = await pipeline.infer(frame_of(picture(0.3, size)), ignore)
    assert result.failures == {}
    assert result.poses is not None
    assert result.detections is not None
    (pose,) = result.poses
    person = next(item for item in result.detections if item.label == "person")
    assert (pose.id, pose.box) == (person.id, person.box)
    x, y, width, height = truth(0.3)["green"]
    canvas = Letterbox.fit(*size)
    pixels = 2.5 / min(canvas.width, canvas.height)
    for (across, down), keypoint in zip(KEYPOINTS, pose.keypoints, strict=True):
        assert keypoint[:2] == pytest.approx((x + across * width, y + down * height), abs=pixels)
        assert keypoint[2] == 1.0


async def test_the_detector_runs_for_poses_alone_too_and_says_nothing(
    engine: EmbeddedEngine, executor: Executor
) -> None:
    pipeline = Pipeline(engine, PipelineOptions(detect=False), executor, shared_turns())
    result = await pipeline.infer(frame_of(picture(0.3)), ignore)
    assert result.detections is None
    assert result.poses is not None
    assert len(result.poses) == 1


async def test_without_persons_and_without_pose_there_are_no_crops(
    engine: EmbeddedEngine, executor: Executor
) -> None:
    empty = frame_of(np.full((240, 320, 3), 90, np.uint8))
    result = await Pipeline(engine, PipelineOptions(), executor, shared_turns()).infer(empty, ignore)
    assert (result.poses, result.failures) == ((), {})
    options = PipelineOptions(pose=False)
    result = await Pipeline(engine, options, executor, shared_turns()).infer(frame_of(picture(0.3)), ignore)
    assert result.poses is None


async def test_a_score_below_the_threshold_is_no_pose(engine: EmbeddedEngine, executor: Executor) -> None:
    options = PipelineOptions(pose_threshold=1.0)
    canvas = canvas_with((100, 60, 23, 61))  # its cells are green in part only
    result = await Pipeline(engine, options, executor, shared_turns()).infer(frame_of(canvas), ignore)
    assert result.detections is not None
    assert result.poses is not None
    assert len(result.poses) == len([item for item in result.detections if item.score == 1.0])


@pytest.mark.parametrize("side", [192, 256])
async def test_a_crop_is_a_square_around_the_person_as_large_as_the_model_wants_it(
    tmp_path: Path, executor: Executor, side: int
) -> None:
    engine = await EmbeddedEngine.open(find_models(write_top_down_models(tmp_path, side)))
    canvas = canvas_with((128, 64, 32, 96))
    crops = await cut(engine, canvas)
    assert crops.images.shape == (1, side, side, 3)
    green = np.argwhere((crops.images[0] == GREEN).all(axis=2))
    scale = side / (96 * 1.25)
    assert np.ptp(green[:, 0]) == pytest.approx(96 * scale, abs=4)
    assert np.ptp(green[:, 1]) == pytest.approx(32 * scale, abs=4)
    assert green.mean(axis=0) == pytest.approx((side / 2, side / 2), abs=3)

    pipeline = Pipeline(engine, PipelineOptions(), executor, shared_turns())
    result = await pipeline.infer(frame_of(canvas), ignore)
    await engine.close()
    assert result.poses is not None
    (pose,) = result.poses
    expected = np.array((128, 64)) + KEYPOINTS * (32, 96)
    found = np.array([keypoint[:2] for keypoint in pose.keypoints]) * (320, 240)
    assert np.abs(found - expected).max() < 1.5


class Crowd:
    """Persons that a detector finds: boxes in pixels of the canvas, frame by frame."""

    def __init__(self) -> None:
        self._top_down = TopDown()
        self._time_s = 0.0

    def looked_at(self, boxes: Floats, after_s: float = 0.1) -> list[int]:
        """Indices of those that crops are made of."""
        self._time_s += after_s
        head = np.zeros((1, 5, len(boxes)), np.float32)
        head[0, :2], head[0, 2:4], head[0, 4] = (boxes[:, :2] + boxes[:, 2:] / 2).T, boxes[:, 2:].T, 0.9
        canvas = np.zeros((240, 320, 3), np.uint8)
        crops = self._top_down.cut(
            (head,), {Task.DETECT: PERSONS, Task.POSE_CROP: CROPS}, canvas, self._time_s
        )
        return sorted(int(np.abs(boxes - box).sum(axis=1).argmin()) for box in crops.boxes)


def columns(*sizes: float) -> Floats:
    """Boxes side by side, each of its own size."""
    return np.array([(20 * number, 10, size, size) for number, size in enumerate(sizes)], np.float32)


def test_of_a_crowd_the_largest_are_looked_at() -> None:
    sizes = [8, 18, 7, 17, *[16] * (MAX_CROPS - 2)]
    assert Crowd().looked_at(columns(*sizes)) == [1, *range(3, MAX_CROPS + 2)]


def test_who_was_looked_at_keeps_the_turn_though_larger_ones_come() -> None:
    seen, crowd = Crowd(), columns(*[10] * MAX_CROPS, 19, 19)
    assert seen.looked_at(crowd[:MAX_CROPS]) == list(range(MAX_CROPS))
    assert seen.looked_at(crowd) == list(range(MAX_CROPS))
    # Two have left for good.
    assert MAX_CROPS not in seen.looked_at(crowd[2:], after_s=0.5)
    seen.looked_at(crowd[2:], after_s=0.6)
    assert seen.looked_at(crowd[2:]) == list(range(MAX_CROPS))


def test_the_turn_is_kept_by_who_walks_and_is_missed_for_a_moment() -> None:
    seen, crowd = Crowd(), columns(*[10] * MAX_CROPS, 12)
    assert seen.looked_at(crowd[:MAX_CROPS]) == list(range(MAX_CROPS))
    for step in range(1, 20):
        moved = crowd + np.array((0, 3 * step, 0, 0), np.float32)
        there = np.delete(moved, 4, axis=0) if step % 3 == 1 else moved
        # Meanwhile the place is free for who has none.
        assert seen.looked_at(there) == list(range(MAX_CROPS))


def test_a_person_in_front_takes_no_turn_of_those_behind() -> None:
    """A box may overlap that of someone who is looked at, and be another one's."""
    seen, crowd = Crowd(), columns(*[16] * MAX_CROPS)
    assert seen.looked_at(crowd) == list(range(MAX_CROPS))
    in_front = np.array([(100, 10, 40, 19)], np.float32)
    assert seen.looked_at(np.concatenate((crowd, in_front))) == list(range(MAX_CROPS))


def test_of_those_about_as_large_who_came_last_is_looked_at_first() -> None:
    seen = Crowd()
    crowd = columns(*[16] * (MAX_CROPS + 3))
    first = seen.looked_at(crowd[: MAX_CROPS + 2])
    assert len(first) == MAX_CROPS
    waiting = set(range(MAX_CROPS + 2)) - set(first)
    # One leaves when another comes, who is a little smaller than those that wait.
    crowd[-1, 2:] = 15
    left = np.delete(crowd, first[0], axis=0)
    for _ in range(12):
        looked_at = seen.looked_at(left)
    names = np.delete(np.arange(MAX_CROPS + 3), first[0])[looked_at]
    assert MAX_CROPS + 2 in names
    assert not waiting & set(names.tolist())


def test_of_those_who_come_at_once_the_surest_are_looked_at() -> None:
    """What a detector finds is in the order of its scores."""
    assert Crowd().looked_at(columns(*[16] * (MAX_CROPS + 3))) == list(range(MAX_CROPS))


def test_a_clip_that_begins_anew_begins_with_the_largest() -> None:
    seen, crowd = Crowd(), columns(*[8] * MAX_CROPS, 19)
    assert MAX_CROPS not in {*seen.looked_at(crowd[:MAX_CROPS], 5.0), *seen.looked_at(crowd)}
    assert MAX_CROPS in seen.looked_at(crowd, after_s=-5.0)


def test_an_output_of_another_shape_is_no_head() -> None:
    none = np.empty((0, 4), np.float32)
    crops = Crops(np.empty((0, 256, 256, 3), np.uint8), none, none[:, 0], none[:, :2], none[:, 0])
    assert len(crops.read(None, 0.5).scores) == 0
    with pytest.raises(UnknownHead, match="no head of 0 crops"):
        crops.read((np.zeros((1, 17, 3), np.float32),), 0.5)


async def test_a_joint_that_is_no_number_takes_its_person_with_it(engine: EmbeddedEngine) -> None:
    canvas = canvas_with((128, 64, 32, 96))
    crops = await cut(engine, canvas)
    head = np.full((1, 17, 3), 0.5, np.float32)
    assert len(crops.read((head,), 0.1).scores) == 1
    head[0, 3, 0] = np.nan
    assert len(crops.read((head,), 0.1).scores) == 0


async def test_it_needs_a_detector_that_knows_persons(engine: EmbeddedEngine) -> None:
    models = dict(engine.models)
    assert is_possible(models)
    assert not is_possible({Task.POSE_CROP: models[Task.POSE_CROP]})
    assert not is_possible(models | {Task.DETECT: replace(models[Task.DETECT], labels=("red", "blue"))})
