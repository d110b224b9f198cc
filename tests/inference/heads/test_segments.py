from __future__ import annotations

import cv2
import numpy as np
import pytest

from inference.engines.contract import HeadLayout, ModelInfo, Placement, Task
from inference.heads.candidates import UnknownHead
from inference.heads.found import Thing
from inference.heads.segments import MAX_POINTS, MAX_SEGMENTS, PROTOTYPES, FoundSegments, decode, identify
from inference.letterbox import Letterbox
from inference.preprocess import place
from inference.types import Floats

LABELS = ("person", "dog")
PADDED = place(320, 256, centred=True)
"""8 pixels above and below; its prototypes are 80 × 64."""
BOX = [100.0, 50.0, 40.0, 80.0]
"""Of the object in each layout, in canvas pixels."""


def model(layout: HeadLayout = HeadLayout.ULTRALYTICS_SEGMENT, placement: Placement = PADDED) -> ModelInfo:
    return ModelInfo(Task.SEGMENT, "synthetic", LABELS, layout, placement)


def prototypes(mask: Floats) -> Floats:
    """The mask as the first of all, above zero where it is 1; the others say nothing."""
    everything = np.zeros((PROTOTYPES, *mask.shape), np.float32)
    everything[0] = mask - 0.5
    return everything


def ellipse(width: int = 80, height: int = 64, angle: float = 0) -> Floats:
    """A mask around the middle of the box, half as wide and high, in a network of four times its size."""
    mask = np.zeros((height, width), np.float32)
    scale = width / 80
    centre = (round(30 * scale), round(24.5 * scale))
    cv2.ellipse(mask, centre, (round(2.5 * scale), round(5 * scale)), angle, 0, 360, 1, -1)
    return mask


def head(*boxes: list[float], scores: list[float] | None = None) -> Floats:
    """[4 + 2 + 32, 1680]: dogs with boxes x, y, width, height of the canvas and the first prototype."""
    output = np.zeros((4 + len(LABELS) + PROTOTYPES, 1680), np.float32)
    for number, (x, y, width, height) in enumerate(boxes):
        score = 0.9 if scores is None else scores[number]
        output[:, number] = [x + width / 2, y + height / 2 + 8, width, height, 0.1, score, 1, *[0] * 31]
    return output


# --- telling layouts apart ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shapes", "layout", "classes"),
    [
        ([[1, 116, 8400], [1, 32, 160, 160]], HeadLayout.ULTRALYTICS_SEGMENT, 80),
        ([["batch", 37, "anchors"], ["batch", 32, "h", "w"]], HeadLayout.ULTRALYTICS_SEGMENT, 1),
        ([[1, 300, 38], [1, 32, 160, 160]], HeadLayout.END_TO_END, None),
    ],
)
def test_layouts_are_told_by_shape(
    shapes: list[list[int | str | None]], layout: HeadLayout, classes: int | None
) -> None:
    assert identify(shapes, {}) == (layout, classes)


@pytest.mark.parametrize(
    "shapes",
    [
        [[1, 116, 8400]],
        [[1, 116, 8400], [1, 16, 160, 160]],
        [[1, 36, 8400], [1, 32, 160, 160]],
        [[1, 116, 8400], [1, 32, 160]],
    ],
    ids=str,
)
def test_anything_else_is_refused_by_its_shapes(shapes: list[list[int | str | None]]) -> None:
    with pytest.raises(UnknownHead) as refused:
        identify(shapes, {})
    assert all(str(shape) in str(refused.value) for shape in shapes)


# --- outlines -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", [HeadLayout.ULTRALYTICS_SEGMENT, HeadLayout.END_TO_END])
@pytest.mark.parametrize("size", [(320, 256), (640, 640)])
def test_an_object_has_its_box_and_outline_in_canvas_pixels(
    layout: HeadLayout, size: tuple[int, int]
) -> None:
    placement = place(*size, centred=True)
    x, y, width, height = np.array(BOX) * placement.scale + (placement.left, placement.top, 0, 0)
    if layout is HeadLayout.END_TO_END:
        output = np.zeros((300, 38), np.float32)
        output[0] = [x, y, x + width, y + height, 0.9, 1, 1, *[0] * 31]
    else:
        output = np.zeros((38, 1680), np.float32)
        output[:, 7] = [x + width / 2, y + height / 2, width, height, 0.1, 0.9, 1, *[0] * 31]
    mask = np.zeros((size[1] // 4, size[0] // 4), np.float32)
    # A pixel of the mask is 4 of the network: its middle is the middle of the box, and it is half as wide.
    centre = (round((x + width / 2) / 4), round((y + height / 2) / 4))
    cv2.ellipse(mask, centre, (round(width / 16), round(height / 8)), 0, 0, 360, 1, -1)

    found = decode((output, prototypes(mask)), model(layout, placement), 0.5)

    assert found.boxes == pytest.approx(np.array([BOX]))
    assert (found.scores.tolist(), found.classes.tolist()) == (pytest.approx([0.9]), [1])
    (outline,) = found.polygons
    assert outline.mean(axis=0) == pytest.approx([120, 90], abs=3)
    assert np.ptp(outline[:, 0]) == pytest.approx(20, abs=4)
    assert np.ptp(outline[:, 1]) == pytest.approx(80, abs=6)
    assert 8 <= len(outline) <= MAX_POINTS


def test_an_outline_stays_inside_its_box() -> None:
    everywhere = np.ones((64, 80), np.float32)
    (outline,) = decode((head(BOX), prototypes(everywhere)), model(), 0.5).polygons
    assert outline.min(axis=0) == pytest.approx([100, 50], abs=1)
    assert outline.max(axis=0) == pytest.approx([140, 130], abs=1)


def test_of_a_mask_in_pieces_the_largest_is_outlined() -> None:
    mask = np.zeros((64, 80), np.float32)
    mask[16:20, 26:34] = 1
    mask[24:33, 26:34] = 1
    (outline,) = decode((head(BOX), prototypes(mask)), model(), 0.5).polygons
    assert outline[:, 1].min() > 80


def test_an_object_without_a_mask_stays_and_has_no_outline() -> None:
    found = decode((head(BOX), prototypes(np.zeros((64, 80), np.float32))), model(), 0.5)
    assert found.boxes == pytest.approx(np.array([BOX]))
    assert [len(outline) for outline in found.polygons] == [0]


@pytest.mark.parametrize(
    "box", [[-60.0, 50.0, 40.0, 80.0], [330.0, 50.0, 40.0, 80.0], [0.0, -90.0, 40.0, 80.0]]
)
def test_an_object_outside_of_the_picture_has_no_outline(box: list[float]) -> None:
    found = decode((head(box), prototypes(np.ones((64, 80), np.float32))), model(), 0.5)
    assert [len(outline) for outline in found.polygons] == [0]


def test_a_ragged_mask_takes_no_more_points_than_are_allowed() -> None:
    comb = np.zeros((64, 80), np.float32)
    comb[:, ::2] = 1
    comb[30] = 1
    (outline,) = decode((head([0, 0, 320, 240]), prototypes(comb)), model(), 0.5).polygons
    assert 3 <= len(outline) <= MAX_POINTS


def test_a_crowded_picture_gives_the_best_20() -> None:
    boxes = [[3.0 * number, 20.0, 2.5, 60.0] for number in range(100)]
    scores = np.linspace(0.5, 0.9, 100)
    found = decode((head(*boxes, scores=scores.tolist()), prototypes(ellipse())), model(), 0.25)
    assert found.scores == pytest.approx(scores[: -MAX_SEGMENTS - 1 : -1])
    assert len(found.boxes) == len(found.classes) == len(found.polygons) == MAX_SEGMENTS


# --- numbers that no healthy network gives ------------------------------------------------------------


@pytest.mark.parametrize("number", [float("nan"), float("inf"), 1e30])
def test_broken_coefficients_leave_their_object_out(number: float) -> None:
    output = head(BOX, [200, 50, 40, 80])
    output[-1, 0] = number
    found = decode((output, prototypes(ellipse())), model(), 0.5)
    assert found.boxes[:, 0].tolist() == [200]


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf"), 3e38])
def test_broken_prototypes_leave_outlines_out_and_nothing_else(number: float) -> None:
    broken = np.full((PROTOTYPES, 64, 80), number, np.float32)
    found = decode((head(BOX), broken), model(), 0.5)
    assert found.boxes == pytest.approx(np.array([BOX]))


def test_prototypes_of_another_kind_are_refused() -> None:
    with pytest.raises(UnknownHead, match=r"\[16, 64, 80\] is no set of 32 prototypes"):
        decode((head(BOX), np.zeros((16, 64, 80), np.float32)), model(), 0.5)


# --- results ------------------------------------------------------------------------------------------


def test_a_result_has_its_outline_in_the_frame_rounded_and_inside() -> None:
    polygon = np.array([[-3, 30], [160, 30.5], [80, 250]], np.float32)
    found = FoundSegments(
        np.array([BOX], np.float32), np.ones(1, np.float32), np.ones(1, np.intp), (polygon,)
    )
    thing = Thing(7, "dog", 0.9, (0.1, 0.2, 0.3, 0.4))
    (segment,) = found.results([thing], Letterbox(0, 30, 320, 180))
    assert (segment.id, segment.label, segment.box) == (7, "dog", thing.box)
    assert segment.polygon == ((0.0, 0.0), (0.5, 0.0028), (0.25, 1.0))
