"""How well trained models do through the whole pipeline, on photographs whose objects people marked.

A decoder that is off by half a stride, a swapped channel or a wrong padding does not fail a smoke test; it
costs accuracy. The floors lie a little below what was measured when the tests were written.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from inference.engines.contract import Task
from inference.engines.embedded import EmbeddedEngine
from inference.ocr.turns import shared_turns
from inference.pipeline import Pipeline, PipelineOptions, TextsFound
from inference.types import Box, Image, PipelineResult
from tests.support.frames import frame_of

LARGE = 0.04
"""Share of the picture that a marked object must have: at 320×240 the small ones cannot be found."""

VISIBLE = 2
"""COCO's flag of a keypoint that is marked and not hidden."""


class Photographs:
    """Pictures and marks of COCO val2017, boxes and keypoints normalised as the pipeline's are."""

    def __init__(self, folder: Path, marks: str) -> None:
        content = json.loads((folder / marks).read_text())
        self._labels = {category["id"]: category["name"] for category in content["categories"]}
        self._folder = folder / "images"
        self._images = content["images"]
        self._marks = defaultdict(list)
        for mark in content["annotations"]:
            self._marks[mark["image_id"]].append(mark)

    def __iter__(self) -> Iterator[tuple[Image, list[dict[str, Any]]]]:
        for entry in self._images:
            size = np.array([entry["width"], entry["height"]])
            marks = []
            for mark in self._marks[entry["id"]]:
                box = np.array(mark["bbox"]) / np.tile(size, 2)
                if not mark["iscrowd"] and box[2] * box[3] >= LARGE:
                    points = np.array(mark.get("keypoints", ()), float).reshape(-1, 3) / (*size, 1)
                    label = self._labels[mark["category_id"]]
                    marks.append({"label": label, "box": tuple(box), "keypoints": points})
            picture = cv2.imread(str(self._folder / entry["file_name"]), cv2.IMREAD_COLOR_RGB)
            yield np.asarray(picture, np.uint8), marks


@pytest.fixture(scope="module")
def accuracy_dir(models_dir: Path) -> Path:
    folder = models_dir.parent / "accuracy"
    if not folder.is_dir():
        pytest.skip(f"no directory {folder}")
    return folder


@pytest.fixture
def executor() -> Iterator[Executor]:
    with ThreadPoolExecutor(2, "vision") as executor:
        yield executor


@pytest.fixture
async def engine(request: pytest.FixtureRequest, models_dir: Path) -> AsyncIterator[EmbeddedEngine]:
    """With the one model that the test names."""
    task, name = request.param
    engine = await EmbeddedEngine.open({task: models_dir / name})
    yield engine
    await engine.close()


async def look(engine: EmbeddedEngine, picture: Image, executor: Executor) -> PipelineResult:
    options = PipelineOptions(detect=Task.DETECT in engine.models, pose=Task.POSE in engine.models)
    return await Pipeline(engine, options, executor, shared_turns()).infer(frame_of(picture), _ignore)


async def _ignore(found: TextsFound) -> None:
    pass


def iou(one: Box, other: Box) -> float:
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    shared = max(0.0, width) * max(0.0, height)
    return shared / (one[2] * one[3] + other[2] * other[3] - shared)


@pytest.mark.parametrize(
    ("engine", "least_found", "least_iou"),
    [
        ((Task.DETECT, "yolo_coco_n.onnx"), 0.64, 0.88),
        ((Task.DETECT, "yolox_nano_dyn.onnx"), 0.67, 0.83),
        ((Task.DETECT, "yolov8n_int8_640.onnx"), 0.67, 0.87),
    ],
    indirect=["engine"],
    ids=["yolo_coco_n", "yolox_nano", "yolov8n_int8_640"],
)
async def test_large_objects_are_found_where_they_are(
    engine: EmbeddedEngine, accuracy_dir: Path, executor: Executor, least_found: float, least_iou: float
) -> None:
    overlaps = []
    for picture, marks in Photographs(accuracy_dir, "instances.json"):
        found = (await look(engine, picture, executor)).detections or ()
        for mark in marks:
            same = [iou(mark["box"], item.box) for item in found if item.label == mark["label"]]
            overlaps.append(max(same, default=0.0))
    matched = [overlap for overlap in overlaps if overlap >= 0.5]
    assert len(matched) / len(overlaps) >= least_found
    assert np.mean(matched) >= least_iou


@pytest.mark.parametrize("engine", [(Task.POSE, "yolo11n_pose.onnx")], indirect=True, ids=["yolo11n_pose"])
async def test_keypoints_lie_where_people_marked_them(
    engine: EmbeddedEngine, accuracy_dir: Path, executor: Executor
) -> None:
    offsets: list[float] = []
    persons = 0
    for picture, marks in Photographs(accuracy_dir, "person_keypoints.json"):
        found = (await look(engine, picture, executor)).poses or ()
        for mark in marks:
            same = [pose for pose in found if iou(mark["box"], pose.box) >= 0.5]
            persons += len(same)
            size = np.sqrt(mark["box"][2] * mark["box"][3])
            for pose in same:
                distances = np.linalg.norm(mark["keypoints"][:, :2] - np.array(pose.keypoints)[:, :2], axis=1)
                offsets += (distances / size)[mark["keypoints"][:, 2] == VISIBLE].tolist()
    assert persons >= 28
    assert np.median(offsets) < 0.048
