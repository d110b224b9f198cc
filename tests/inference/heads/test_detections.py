from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inference.coco import COCO_LABELS
from inference.engines.contract import HeadLayout, ModelInfo, Placement, Task
from inference.engines.embedded import EmbeddedEngine
from inference.heads.candidates import UnknownHead
from inference.heads.detections import FoundObjects, decode, identify
from inference.preprocess import place
from inference.types import Floats, Image
from tests.support.frames import canvas_of, frames

BY_ULTRALYTICS = {"task": "detect"}
PADDED_ABOVE_AND_BELOW = place(320, 256, centred=True)
LABELS = ("person", "dog", "cat")


def model(layout: HeadLayout, placement: Placement = PADDED_ABOVE_AND_BELOW) -> ModelInfo:
    return ModelInfo(Task.DETECT, "synthetic", LABELS, layout, placement)


def decoded(head: Floats, info: ModelInfo, threshold: float) -> FoundObjects:
    return decode((head,), info, threshold)


# --- telling layouts apart ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "metadata", "layout", "classes"),
    [
        ([1, 3549, 85], {}, HeadLayout.YOLOX, 80),
        (["batch", "anchors", 85], {}, HeadLayout.YOLOX, 80),
        ([None, 1680, 6], {}, HeadLayout.YOLOX, 1),
        (["batch", 84, 1680], BY_ULTRALYTICS, HeadLayout.ULTRALYTICS_DETECT, 80),
        (["batch", 84, "anchors"], BY_ULTRALYTICS, HeadLayout.ULTRALYTICS_DETECT, 80),
        ([1, 84, 8400], {}, HeadLayout.ULTRALYTICS_DETECT, 80),
        ([1, 84, 63], BY_ULTRALYTICS, HeadLayout.ULTRALYTICS_DETECT, 80),
        ([1, 5, 1680], {}, HeadLayout.ULTRALYTICS_DETECT, 1),
        ([1, 300, 6], {}, HeadLayout.END_TO_END, None),
        (["batch", "boxes", 6], BY_ULTRALYTICS, HeadLayout.END_TO_END, None),
    ],
)
def test_layouts_are_told_by_shape_and_metadata(
    shape: list[int | str | None], metadata: Mapping[str, str], layout: HeadLayout, classes: int | None
) -> None:
    assert identify([shape], metadata) == (layout, classes)


@pytest.mark.parametrize("shape", [[1, 1000], [1, 3, 80, 80, 85], [1, 4, 8400], ["batch", "a", "b"]], ids=str)
def test_anything_else_is_refused_by_its_shape(shape: list[int | str | None]) -> None:
    with pytest.raises(UnknownHead) as refused:
        identify([shape], {})
    assert str(shape) in str(refused.value)


# --- one object in each layout, at x 100, y 50, 40 wide, 80 high of the canvas ------------------------

BOX = [100.0, 50.0, 40.0, 80.0]


def test_yolox_is_decoded_on_its_grid() -> None:
    cells = 40 * 32 + 20 * 16 + 10 * 8
    head = np.zeros((cells, 5 + len(LABELS)), np.float32)
    # Centre 120, 90 with stride 16 is in column 7, row 5 of the second grid.
    anchor = 40 * 32 + 5 * 20 + 7
    head[anchor] = [0.5, 0.625, np.log(40 / 16), np.log(80 / 16), 0.9, 0.1, 0.8, 0.2]

    found = decoded(head, model(HeadLayout.YOLOX, place(320, 256, centred=False)), 0.5)

    assert found.boxes == pytest.approx(np.array([BOX]), abs=1e-3)
    assert found.scores == pytest.approx([0.72])
    assert found.classes.tolist() == [1]


def test_a_yolox_head_of_another_size_is_refused() -> None:
    with pytest.raises(UnknownHead, match="1680 rows"):
        decoded(np.zeros((6300, 85), np.float32), model(HeadLayout.YOLOX), 0.5)


def test_ultralytics_detect_comes_back_from_the_padded_network() -> None:
    head = np.zeros((4 + len(LABELS), 1680), np.float32)
    head[:, 77] = [120, 98, 40, 80, 0.1, 0.2, 0.7]

    found = decoded(head, model(HeadLayout.ULTRALYTICS_DETECT), 0.5)

    assert found.boxes == pytest.approx(np.array([BOX]))
    assert found.scores == pytest.approx([0.7])
    assert found.classes.tolist() == [2]


def test_end_to_end_comes_back_from_a_larger_network() -> None:
    head = np.zeros((300, 6), np.float32)
    head[0] = [200, 180, 280, 340, 0.6, 1]  # scaled by 2, moved down by 80

    found = decoded(head, model(HeadLayout.END_TO_END, place(640, 640, centred=True)), 0.5)

    assert found.boxes == pytest.approx(np.array([BOX]))
    assert found.scores == pytest.approx([0.6])
    assert found.classes.tolist() == [1]


def test_end_to_end_classes_without_a_label_are_left_out() -> None:
    head = np.array([[0, 8, 10, 18, 0.9, len(LABELS)], [0, 8, 10, 18, 0.8, 0]], np.float32)
    assert decoded(head, model(HeadLayout.END_TO_END), 0.5).classes.tolist() == [0]


@pytest.mark.parametrize("layout", [HeadLayout.ULTRALYTICS_DETECT, HeadLayout.END_TO_END, HeadLayout.YOLOX])
def test_no_object_gives_empty_arrays_of_the_right_shape(layout: HeadLayout) -> None:
    shape = (7, 1680) if layout is HeadLayout.ULTRALYTICS_DETECT else (1680, 8)
    found = decoded(np.zeros(shape, np.float32), model(layout), 0.5)
    assert (found.boxes.shape, found.scores.shape, found.classes.shape) == ((0, 4), (0,), (0,))


def test_a_crowded_picture_gives_the_best_100() -> None:
    head = np.zeros((7, 1680), np.float32)
    head[0] = 100 * np.arange(1680)
    head[2:4] = 50
    head[4] = np.linspace(0.5, 0.9, 1680)

    found = decoded(head, model(HeadLayout.ULTRALYTICS_DETECT), 0.25)

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

    found = decoded(head, model(HeadLayout.ULTRALYTICS_DETECT), 0.5)

    assert found.boxes == pytest.approx(np.array([BOX]))
    assert found.scores == pytest.approx([0.8])


@pytest.mark.parametrize("score", [NAN, -INF])
def test_a_score_that_is_no_number_counts_as_none(score: float) -> None:
    head = np.full((7, 1680), score, np.float32)
    assert len(decoded(head, model(HeadLayout.ULTRALYTICS_DETECT), 0.5).boxes) == 0


def test_a_yolox_box_that_overflows_is_left_out() -> None:
    head = np.zeros((1680, 8), np.float32)
    head[5] = [0.5, 0.5, 1e4, 1, 1, 1, 0, 0]
    assert len(decoded(head, model(HeadLayout.YOLOX), 0.5).boxes) == 0


def test_end_to_end_rows_that_are_broken_or_padding_are_left_out() -> None:
    good = [100, 58, 140, 138, 0.9, 1]
    head = np.array(
        [good, [NAN, *good[1:]], [140, 58, 100, 138, 0.9, 1], [*good[:5], -1], [*good[:5], NAN]], np.float32
    )

    found = decoded(head, model(HeadLayout.END_TO_END), 0.5)

    assert found.boxes == pytest.approx(np.array([BOX]))


def test_scores_are_cut_to_0_and_1() -> None:
    head = np.zeros((7, 1680), np.float32)
    head[:, 5] = [120, 98, 40, 80, 1.02, 0, 0]
    assert decoded(head, model(HeadLayout.ULTRALYTICS_DETECT), 0.5).scores.tolist() == [1.0]


# --- with the real models -----------------------------------------------------------------------------


async def heads_of(path: Path, pictures: list[Image]) -> tuple[ModelInfo, list[Floats]]:
    """Raw heads of one detector, one a picture."""
    engine = await EmbeddedEngine.open({Task.DETECT: path})
    try:
        return engine.models[Task.DETECT], [
            (await engine.infer(Task.DETECT, canvas_of(picture)[np.newaxis]))[0][0] for picture in pictures
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
    info, heads = await heads_of(models_dir / name, people)
    assert info.layout is layout
    persons = []
    for head in heads:
        found = decoded(head, info, 0.3)
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
        info, heads = await heads_of(models_dir / name, people)
        found.append([decoded(head, info, 0.5) for head in heads])
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
    info, heads = await heads_of(models_dir / "yolo_coco_n.onnx", people[:1])
    plain = decoded(heads[0], info, 0.3)
    assert info.labels == COCO_LABELS
    assert info.placement is not None

    network = plain.boxes * info.placement.scale + (info.placement.left, info.placement.top, 0, 0)
    head = np.zeros((300, 6), np.float32)
    head[: len(network)] = np.column_stack(
        (network[:, :2], network[:, :2] + network[:, 2:], plain.scores, plain.classes)
    )
    again = decoded(head, replace(info, layout=HeadLayout.END_TO_END), 0.3)

    assert again.boxes == pytest.approx(plain.boxes, abs=1e-3)
    assert again.classes.tolist() == plain.classes.tolist()
