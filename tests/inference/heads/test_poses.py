from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from inference.engines.contract import HeadLayout, ModelInfo, Task
from inference.engines.embedded import EmbeddedEngine
from inference.heads.candidates import UnknownHead
from inference.heads.found import Thing
from inference.heads.poses import FoundPersons, decode, identify
from inference.letterbox import Letterbox
from inference.preprocess import place
from inference.types import Floats
from tests.support.frames import canvas_of, frames

BOX = [100.0, 50.0, 40.0, 80.0]
"""Of the person in each layout, in canvas pixels."""


def model(layout: HeadLayout) -> ModelInfo:
    return ModelInfo(Task.POSE, "synthetic", (), layout, place(320, 256, centred=True))


def decoded(head: Floats, info: ModelInfo, threshold: float) -> FoundPersons:
    return decode((head,), info, threshold)


@pytest.mark.parametrize(
    ("shape", "layout"),
    [
        ([1, 56, 1680], HeadLayout.ULTRALYTICS_POSE),
        (["batch", 56, "anchors"], HeadLayout.ULTRALYTICS_POSE),
        ([1, 300, 57], HeadLayout.END_TO_END),
    ],
)
def test_layouts_are_told_by_shape(shape: list[int | str | None], layout: HeadLayout) -> None:
    assert identify([shape], {}) == (layout, None)


@pytest.mark.parametrize("shape", [[1, 84, 8400], [1, 39, 8400], [1, 56]], ids=str)
def test_anything_else_is_refused_by_its_shape(shape: list[int | str | None]) -> None:
    with pytest.raises(UnknownHead) as refused:
        identify([shape], {})
    assert str(shape) in str(refused.value)


@pytest.mark.parametrize("layout", [HeadLayout.ULTRALYTICS_POSE, HeadLayout.END_TO_END])
def test_poses_carry_17_keypoints_in_canvas_pixels(layout: HeadLayout) -> None:
    points = np.stack((np.arange(17) + 100, np.arange(17) + 58, np.linspace(0, 1, 17)), axis=1)
    if layout is HeadLayout.ULTRALYTICS_POSE:
        head = np.zeros((56, 1680), np.float32)
        head[:, 5] = [120, 98, 40, 80, 0.9, *points.ravel()]
    else:
        head = np.zeros((300, 57), np.float32)
        head[0] = [100, 58, 140, 138, 0.9, 0, *points.ravel()]

    found = decoded(head, model(layout), 0.5)

    assert found.boxes == pytest.approx(np.array([BOX]))
    assert found.scores == pytest.approx([0.9])
    assert found.keypoints == pytest.approx((points - (0, 8, 0))[np.newaxis])


def test_no_person_gives_no_keypoints() -> None:
    head = np.zeros((56, 1680), np.float32)
    assert decoded(head, model(HeadLayout.ULTRALYTICS_POSE), 0.5).keypoints.shape == (
        0,
        17,
        3,
    )


@pytest.mark.parametrize("layout", [HeadLayout.ULTRALYTICS_POSE, HeadLayout.END_TO_END])
def test_a_person_with_a_broken_keypoint_is_left_out(layout: HeadLayout) -> None:
    points = [100.0, 60.0, 0.9] * 16 + [float("nan"), 60.0, 0.9]
    if layout is HeadLayout.ULTRALYTICS_POSE:
        head = np.zeros((56, 1680), np.float32)
        head[:, 5] = [120, 98, 40, 80, 0.9, *points]
    else:
        head = np.array([[100, 58, 140, 138, 0.9, 0, *points]], np.float32)
    assert len(decoded(head, model(layout), 0.5).boxes) == 0


def test_scores_are_cut_to_0_and_1() -> None:
    head = np.zeros((56, 1680), np.float32)
    head[:, 5] = [120, 98, 40, 80, 1.02, *(100, 60, 1.5) * 16, *(100, 60, -0.5)]
    found = decoded(head, model(HeadLayout.ULTRALYTICS_POSE), 0.5)
    assert found.scores.tolist() == [1.0]
    assert found.keypoints[0, :, 2].tolist() == [1.0] * 16 + [0.0]


def test_keypoints_of_a_result_are_rounded_to_less_than_a_pixel() -> None:
    keypoints = np.full((1, 17, 3), (40.0, 30.0, 0.98765), np.float32)
    found = FoundPersons(np.array([BOX], np.float32), np.ones(1, np.float32), np.zeros(1, np.intp), keypoints)
    thing = Thing(7, "person", 0.9, (0.1, 0.2, 0.3, 0.4))
    (pose,) = found.results([thing], Letterbox(0, 0, 320, 223))
    assert (pose.id, pose.box) == (7, thing.box)
    assert pose.keypoints[3] == (0.125, 0.1345, 0.99)


@pytest.mark.parametrize("name", ["yolo11n_pose.onnx", "yolo11n_pose_dyn.onnx"])
async def test_the_pose_model_finds_a_whole_person(models_dir: Path, media_dir: Path, name: str) -> None:
    pictures = [picture for _, picture in frames(media_dir / "pose.mp4", every=150)][:4]
    engine = await EmbeddedEngine.open({Task.POSE: models_dir / name})
    heads = [await engine.infer(Task.POSE, canvas_of(picture)[np.newaxis]) for picture in pictures]
    await engine.close()
    for (head,) in heads:
        found = decoded(head[0], engine.models[Task.POSE], 0.4)
        assert len(found.boxes) >= 1
        nose, left_shoulder, right_shoulder = found.keypoints[0, [0, 5, 6]]
        assert min(nose[2], left_shoulder[2], right_shoulder[2]) > 0.5
        assert nose[1] < min(left_shoulder[1], right_shoulder[1]), "the head is above the shoulders"
        assert left_shoulder[0] > right_shoulder[0], "who faces the camera has the left on our right"
        x, y, width, height = found.boxes[0]
        assert x - 5 <= nose[0] <= x + width + 5
        assert y - 5 <= nose[1] <= y + height + 5
