from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inference.coco import COCO_LABELS
from inference.engines.contract import HeadLayout, ModelInfo, Placement, Task
from inference.engines.embedded import EmbeddedEngine
from inference.heads import (
    UnknownHead,
    decode_detections,
    decode_poses,
    identify_layout,
)
from inference.preprocess import place
from inference.types import Floats, Image
from tests.support.frames import canvas_of, frames

BY_ULTRALYTICS = {"task": "detect"}
PADDED_ABOVE_AND_BELOW = place(320, 256, centred=True)
LABELS = ("person", "dog", "cat")


def model(
    layout: HeadLayout, placement: Placement = PADDED_ABOVE_AND_BELOW, task: Task = Task.DETECT
) -> ModelInfo:
    return ModelInfo(task, "synthetic", LABELS if task is Task.DETECT else (), layout, placement)


# --- telling layouts apart ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "metadata", "task", "layout"),
    [
        ([1, 3549, 85], {}, Task.DETECT, HeadLayout.YOLOX),
        (["batch", "anchors", 85], {}, Task.DETECT, HeadLayout.YOLOX),
        ([None, 1680, 6], {}, Task.DETECT, HeadLayout.YOLOX),
        (["batch", 84, 1680], BY_ULTRALYTICS, Task.DETECT, HeadLayout.ULTRALYTICS_DETECT),
        (["batch", 84, "anchors"], BY_ULTRALYTICS, Task.DETECT, HeadLayout.ULTRALYTICS_DETECT),
        ([1, 84, 8400], {}, Task.DETECT, HeadLayout.ULTRALYTICS_DETECT),
        ([1, 84, 63], BY_ULTRALYTICS, Task.DETECT, HeadLayout.ULTRALYTICS_DETECT),
        ([1, 5, 1680], {}, Task.DETECT, HeadLayout.ULTRALYTICS_DETECT),
        ([1, 300, 6], {}, Task.DETECT, HeadLayout.END_TO_END),
        (["batch", "boxes", 6], BY_ULTRALYTICS, Task.DETECT, HeadLayout.END_TO_END),
        ([1, 56, 1680], {"task": "pose"}, Task.POSE, HeadLayout.ULTRALYTICS_POSE),
        (["batch", 56, "anchors"], {}, Task.POSE, HeadLayout.ULTRALYTICS_POSE),
        ([1, 300, 57], {}, Task.POSE, HeadLayout.END_TO_END),
    ],
)
def test_layouts_are_told_by_shape_and_metadata(
    shape: list[int | str | None], metadata: Mapping[str, str], task: Task, layout: HeadLayout
) -> None:
    assert identify_layout(shape, metadata, task) is layout


@pytest.mark.parametrize(
    ("shape", "task"),
    [
        ([1, 1000], Task.DETECT),
        ([1, 3, 80, 80, 85], Task.DETECT),
        ([1, 4, 8400], Task.DETECT),
        (["batch", "a", "b"], Task.DETECT),
        ([1, 84, 8400], Task.POSE),
        ([1, 39, 8400], Task.POSE),
    ],
)
def test_anything_else_is_refused_by_its_shape(shape: list[int | str | None], task: Task) -> None:
    with pytest.raises(UnknownHead) as refused:
        identify_layout(shape, {}, task)
    assert str(shape) in str(refused.value)


# --- one object in each layout, at x 100, y 50, 40 wide, 80 high of the canvas ------------------------

BOX = [100.0, 50.0, 40.0, 80.0]


def test_yolox_is_decoded_on_its_grid() -> None:
    cells = 40 * 32 + 20 * 16 + 10 * 8
    head = np.zeros((cells, 5 + len(LABELS)), np.float32)
    # Centre 120, 90 with stride 16 is in column 7, row 5 of the second grid.
    anchor = 40 * 32 + 5 * 20 + 7
    head[anchor] = [0.5, 0.625, np.log(40 / 16), np.log(80 / 16), 0.9, 0.1, 0.8, 0.2]

    found = decode_detections(head, model(HeadLayout.YOLOX, place(320, 256, centred=False)), 0.5)

    assert found.boxes == pytest.approx(np.array([BOX]), abs=1e-3)
    assert found.scores == pytest.approx([0.72])
    assert found.classes.tolist() == [1]


def test_a_yolox_head_of_another_size_is_refused() -> None:
    with pytest.raises(UnknownHead, match="1680 rows"):
        decode_detections(np.zeros((6300, 85), np.float32), model(HeadLayout.YOLOX), 0.5)


def test_ultralytics_detect_comes_back_from_the_padded_network() -> None:
    head = np.zeros((4 + len(LABELS), 1680), np.float32)
    head[:, 77] = [120, 98, 40, 80, 0.1, 0.2, 0.7]

    found = decode_detections(head, model(HeadLayout.ULTRALYTICS_DETECT), 0.5)

    assert found.boxes == pytest.approx(np.array([BOX]))
    assert found.scores == pytest.approx([0.7])
    assert found.classes.tolist() == [2]


def test_end_to_end_comes_back_from_a_larger_network() -> None:
    head = np.zeros((300, 6), np.float32)
    head[0] = [200, 180, 280, 340, 0.6, 1]  # scaled by 2, moved down by 80

    found = decode_detections(head, model(HeadLayout.END_TO_END, place(640, 640, centred=True)), 0.5)

    assert found.boxes == pytest.approx(np.array([BOX]))
    assert found.scores == pytest.approx([0.6])
    assert found.classes.tolist() == [1]


def test_end_to_end_classes_without_a_label_are_left_out() -> None:
    head = np.array([[0, 8, 10, 18, 0.9, len(LABELS)], [0, 8, 10, 18, 0.8, 0]], np.float32)
    assert decode_detections(head, model(HeadLayout.END_TO_END), 0.5).classes.tolist() == [0]


@pytest.mark.parametrize("layout", [HeadLayout.ULTRALYTICS_POSE, HeadLayout.END_TO_END])
def test_poses_carry_17_keypoints_in_canvas_pixels(layout: HeadLayout) -> None:
    points = np.stack((np.arange(17) + 100, np.arange(17) + 58, np.linspace(0, 1, 17)), axis=1)
    if layout is HeadLayout.ULTRALYTICS_POSE:
        head = np.zeros((56, 1680), np.float32)
        head[:, 5] = [120, 98, 40, 80, 0.9, *points.ravel()]
    else:
        head = np.zeros((300, 57), np.float32)
        head[0] = [100, 58, 140, 138, 0.9, 0, *points.ravel()]

    found = decode_poses(head, model(layout, task=Task.POSE), 0.5)

    assert found.boxes == pytest.approx(np.array([BOX]))
    assert found.scores == pytest.approx([0.9])
    assert found.keypoints == pytest.approx((points - (0, 8, 0))[np.newaxis])


@pytest.mark.parametrize("layout", [HeadLayout.ULTRALYTICS_DETECT, HeadLayout.END_TO_END, HeadLayout.YOLOX])
def test_no_object_gives_empty_arrays_of_the_right_shape(layout: HeadLayout) -> None:
    shape = (7, 1680) if layout is HeadLayout.ULTRALYTICS_DETECT else (1680, 8)
    found = decode_detections(np.zeros(shape, np.float32), model(layout), 0.5)
    assert (found.boxes.shape, found.scores.shape, found.classes.shape) == ((0, 4), (0,), (0,))


def test_no_person_gives_no_keypoints() -> None:
    head = np.zeros((56, 1680), np.float32)
    assert decode_poses(head, model(HeadLayout.ULTRALYTICS_POSE, task=Task.POSE), 0.5).keypoints.shape == (
        0,
        17,
        3,
    )


def test_a_crowded_picture_gives_the_best_100() -> None:
    head = np.zeros((7, 1680), np.float32)
    head[0] = 100 * np.arange(1680)
    head[2:4] = 50
    head[4] = np.linspace(0.5, 0.9, 1680)

    found = decode_detections(head, model(HeadLayout.ULTRALYTICS_DETECT), 0.25)

    assert len(found.boxes) == 100
    assert found.scores == pytest.approx(np.linspace(0.5, 0.9, 1680)[:-101:-1])


# --- numbers that no healthy network gives ------------------------------------------------------------

NAN, INF = float("nan"), float("inf")
BROKEN_BOXES = [
    [NAN, 98, 40, 80],
    [120, INF, 40, 80],
    [120, 98, INF, 80],
    [120, 98, 40, -80],
    [120, 98, 0, 80],
    [3e38, 98, 3e38, 80],
]


@pytest.mark.parametrize("box", BROKEN_BOXES)
def test_a_broken_box_is_left_out_and_the_others_stay(box: list[float]) -> None:
    head = np.zeros((7, 1680), np.float32)
    head[:, 3] = [*box, 0.9, 0, 0]
    head[:, 77] = [120, 98, 40, 80, 0.8, 0, 0]

    found = decode_detections(head, model(HeadLayout.ULTRALYTICS_DETECT), 0.5)

    assert found.boxes == pytest.approx(np.array([BOX]))
    assert found.scores == pytest.approx([0.8])


@pytest.mark.parametrize("score", [NAN, -INF])
def test_a_score_that_is_no_number_counts_as_none(score: float) -> None:
    head = np.full((7, 1680), score, np.float32)
    assert len(decode_detections(head, model(HeadLayout.ULTRALYTICS_DETECT), 0.5).boxes) == 0


def test_a_yolox_box_that_overflows_is_left_out() -> None:
    head = np.zeros((1680, 8), np.float32)
    head[5] = [0.5, 0.5, 1e4, 1, 1, 1, 0, 0]
    assert len(decode_detections(head, model(HeadLayout.YOLOX), 0.5).boxes) == 0


def test_end_to_end_rows_that_are_broken_or_padding_are_left_out() -> None:
    good = [100, 58, 140, 138, 0.9, 1]
    head = np.array(
        [good, [NAN, *good[1:]], [140, 58, 100, 138, 0.9, 1], [*good[:5], -1], [*good[:5], NAN]], np.float32
    )

    found = decode_detections(head, model(HeadLayout.END_TO_END), 0.5)

    assert found.boxes == pytest.approx(np.array([BOX]))


def test_scores_are_cut_to_0_and_1() -> None:
    head = np.zeros((56, 1680), np.float32)
    head[:, 5] = [120, 98, 40, 80, 1.02, *(100, 60, 1.5) * 16, *(100, 60, -0.5)]

    found = decode_poses(head, model(HeadLayout.ULTRALYTICS_POSE, task=Task.POSE), 0.5)

    assert found.scores.tolist() == [1.0]
    assert decode_detections(head[:7], model(HeadLayout.ULTRALYTICS_DETECT), 0.5).scores.max() == 1.0
    assert found.keypoints[0, :, 2].tolist() == [1.0] * 16 + [0.0]


@pytest.mark.parametrize("layout", [HeadLayout.ULTRALYTICS_POSE, HeadLayout.END_TO_END])
def test_a_person_with_a_broken_keypoint_is_left_out(layout: HeadLayout) -> None:
    points = [100.0, 60.0, 0.9] * 16 + [NAN, 60.0, 0.9]
    if layout is HeadLayout.ULTRALYTICS_POSE:
        head = np.zeros((56, 1680), np.float32)
        head[:, 5] = [120, 98, 40, 80, 0.9, *points]
    else:
        head = np.array([[100, 58, 140, 138, 0.9, 0, *points]], np.float32)
    assert len(decode_poses(head, model(layout, task=Task.POSE), 0.5).boxes) == 0


# --- with the real models -----------------------------------------------------------------------------


async def heads_of(path: Path, task: Task, pictures: list[Image]) -> tuple[ModelInfo, list[Floats]]:
    """Raw heads of one model, one a picture."""
    engine = await EmbeddedEngine.open({task: path})
    try:
        return engine.models[task], [
            (await engine.infer(task, canvas_of(picture)[np.newaxis]))[0] for picture in pictures
        ]
    finally:
        await engine.close()


@pytest.fixture(scope="module")
def people(media_dir: Path) -> list[Image]:
    return [picture for _, picture in frames(media_dir / "people.mp4", every=90)][:6]


@pytest.mark.parametrize(
    ("name", "layout"),
    [
        ("yolo_coco_n.onnx", HeadLayout.ULTRALYTICS_DETECT),
        ("yolo_coco_n_dyn.onnx", HeadLayout.ULTRALYTICS_DETECT),
        ("yolov8n_int8_640.onnx", HeadLayout.ULTRALYTICS_DETECT),
        ("yolox_nano.onnx", HeadLayout.YOLOX),
        ("yolox_nano_dyn.onnx", HeadLayout.YOLOX),
    ],
)
async def test_each_detector_finds_the_walkers(
    models_dir: Path, people: list[Image], name: str, layout: HeadLayout
) -> None:
    info, heads = await heads_of(models_dir / name, Task.DETECT, people)
    assert info.layout is layout
    persons = []
    for head in heads:
        found = decode_detections(head, info, 0.3)
        assert np.all(np.diff(found.scores) <= 0)
        persons.append([box for box, cls in zip(found.boxes, found.classes, strict=True) if cls == 0])
    assert np.mean([len(boxes) for boxes in persons]) >= 4
    boxes = np.concatenate(persons)
    assert np.all(boxes[:, 2:] > 0)
    assert np.median(boxes[:, 3] / boxes[:, 2]) > 1.5, "walkers are upright"


async def test_two_architectures_agree_on_where_people_are(models_dir: Path, people: list[Image]) -> None:
    """Both networks place the same persons, so neither decoder is off by a stride, a padding or a half."""
    found = []
    for name in ("yolo_coco_n.onnx", "yolox_nano.onnx"):
        info, heads = await heads_of(models_dir / name, Task.DETECT, people)
        found.append([decode_detections(head, info, 0.5) for head in heads])
    offsets = []
    for ours, theirs in zip(*found, strict=True):
        for box in theirs.boxes:
            nearest = ours.boxes[np.abs(ours.boxes - box).sum(axis=1).argmin()]
            if np.abs(nearest - box).max() < 16:
                offsets.append(nearest - box)
    assert len(offsets) >= 12
    assert np.abs(np.median(offsets, axis=0)).max() < 1.5


async def test_the_end_to_end_layout_gives_what_the_other_layouts_give(
    models_dir: Path, people: list[Image]
) -> None:
    info, heads = await heads_of(models_dir / "yolo_coco_n.onnx", Task.DETECT, people[:1])
    plain = decode_detections(heads[0], info, 0.3)
    assert info.labels == COCO_LABELS
    assert info.placement is not None

    network = plain.boxes * info.placement.scale + (info.placement.left, info.placement.top, 0, 0)
    head = np.zeros((300, 6), np.float32)
    head[: len(network)] = np.column_stack(
        (network[:, :2], network[:, :2] + network[:, 2:], plain.scores, plain.classes)
    )
    again = decode_detections(head, replace(info, layout=HeadLayout.END_TO_END), 0.3)

    assert again.boxes == pytest.approx(plain.boxes, abs=1e-3)
    assert again.classes.tolist() == plain.classes.tolist()


@pytest.mark.parametrize("name", ["yolo11n_pose.onnx", "yolo11n_pose_dyn.onnx"])
async def test_the_pose_model_finds_a_whole_person(models_dir: Path, media_dir: Path, name: str) -> None:
    pictures = [picture for _, picture in frames(media_dir / "pose.mp4", every=150)][:4]
    info, heads = await heads_of(models_dir / name, Task.POSE, pictures)
    for head in heads:
        found = decode_poses(head, info, 0.4)
        assert len(found.boxes) >= 1
        nose, left_shoulder, right_shoulder = found.keypoints[0, [0, 5, 6]]
        assert min(nose[2], left_shoulder[2], right_shoulder[2]) > 0.5
        assert nose[1] < min(left_shoulder[1], right_shoulder[1]), "the head is above the shoulders"
        assert left_shoulder[0] > right_shoulder[0], "who faces the camera has the left on our right"
        x, y, width, height = found.boxes[0]
        assert x - 5 <= nose[0] <= x + width + 5
        assert y - 5 <= nose[1] <= y + height + 5
