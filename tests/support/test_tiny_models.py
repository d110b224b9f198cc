from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest

from inference.catalogue import find_models
from inference.engines.contract import Head, HeadLayout, ModelInfo, Task
from inference.engines.embedded import EmbeddedEngine
from inference.heads import detections, poses, segments
from inference.types import FRAME_HEIGHT, FRAME_WIDTH, Image
from tests.support.clips import truth, write_clip
from tests.support.frames import frames
from tests.support.tiny_models import (
    DETECTOR,
    KEYPOINTS,
    LABELS,
    POSE_MODEL,
    SEGMENT_LABELS,
    SEGMENT_MODEL,
    tiny_detector,
    tiny_pose,
    tiny_segmentation,
)

RED, GREEN, BLUE = (220, 30, 30), (30, 220, 30), (30, 30, 220)
BATCHES = pytest.mark.parametrize("batch", [None, 1], ids=["any batch", "batch 1"])


def canvas(**blobs: tuple[int, int, int, int]) -> Image:
    """Grey, with a rectangle x, y, width, height of each colour that is named."""
    image = np.full((FRAME_HEIGHT, FRAME_WIDTH, 3), 128, np.uint8)
    colours = {"red": RED, "green": GREEN, "blue": BLUE}
    for name, (x, y, width, height) in blobs.items():
        image[y : y + height, x : x + width] = colours[name]
    return image


async def run(path: Path, task: Task, images: list[Image]) -> tuple[ModelInfo, list[Head]]:
    engine = await EmbeddedEngine.open({task: path})
    head = await engine.infer(task, np.stack(images))
    await engine.close()
    return engine.models[task], list(zip(*head, strict=True))


@BATCHES
@pytest.mark.parametrize(
    "layout", [HeadLayout.ULTRALYTICS_DETECT, HeadLayout.END_TO_END, HeadLayout.YOLOX], ids=str
)
async def test_the_detector_gives_exact_boxes_in_every_layout(
    tmp_path: Path, layout: HeadLayout, batch: int | None
) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(tiny_detector(layout, batch), path)
    path.with_suffix(".labels.txt").write_text("\n".join(LABELS))
    pictures = [canvas(red=(60, 40, 41, 50), blue=(200, 150, 80, 40)), canvas(blue=(7, 3, 33, 64)), canvas()]

    info, heads = await run(path, Task.DETECT, pictures)

    assert info.layout is layout
    assert info.labels == LABELS
    both, one, none = (detections.decode(head, info, 0.5) for head in heads)
    boxes = dict(zip(both.classes.tolist(), both.boxes, strict=True))
    assert boxes[0] == pytest.approx([60, 40, 41, 50], abs=1e-3)
    assert boxes[1] == pytest.approx([200, 150, 80, 40], abs=1e-3)
    assert one.boxes == pytest.approx(np.array([[7, 3, 33, 64]]), abs=1e-3)
    assert len(none.boxes) == 0


@BATCHES
@pytest.mark.parametrize("layout", [HeadLayout.ULTRALYTICS_POSE, HeadLayout.END_TO_END], ids=str)
async def test_the_pose_model_places_keypoints_in_every_layout(
    tmp_path: Path, layout: HeadLayout, batch: int | None
) -> None:
    onnx.save(tiny_pose(layout, batch), tmp_path / "pose.onnx")
    pictures = [canvas(green=(60, 40, 50, 80), red=(200, 150, 80, 40)), canvas(red=(60, 40, 50, 80))]

    info, heads = await run(tmp_path / "pose.onnx", Task.POSE, pictures)

    assert info.layout is layout
    one, none = (poses.decode(head, info, 0.5) for head in heads)
    assert one.boxes == pytest.approx(np.array([[60, 40, 50, 80]]))
    assert one.keypoints[0, :, :2] == pytest.approx(KEYPOINTS * (50, 80) + (60, 40), abs=1e-3)
    assert len(none.boxes) == 0


@BATCHES
@pytest.mark.parametrize("layout", [HeadLayout.ULTRALYTICS_SEGMENT, HeadLayout.END_TO_END], ids=str)
async def test_the_segmentation_model_outlines_each_colour_in_every_layout(
    tmp_path: Path, layout: HeadLayout, batch: int | None
) -> None:
    onnx.save(tiny_segmentation(layout, batch), tmp_path / "seg.onnx")
    picture = canvas(blue=(200, 150, 80, 40))
    cv2.circle(picture, (80, 100), 30, GREEN, -1)

    info, heads = await run(tmp_path / "seg.onnx", Task.SEGMENT, [picture, canvas()])

    assert (info.layout, info.labels) == (layout, SEGMENT_LABELS)
    found, none = (segments.decode(head, info, 0.5) for head in heads)
    outlines = {info.labels[cls]: outline for cls, outline in zip(found.classes, found.polygons, strict=True)}
    assert outlines.keys() == {"blue", "person"}
    assert outlines["blue"].min(axis=0).tolist() == pytest.approx([200, 150], abs=1)
    assert outlines["blue"].max(axis=0).tolist() == pytest.approx([280, 190], abs=1)
    assert np.abs(np.hypot(*(outlines["person"] - (80.5, 100.5)).T) - 30).max() < 2
    assert len(outlines["person"]) > 8
    assert len(none.boxes) == 0


def test_the_catalogue_finds_them(tiny_models: Path) -> None:
    found = find_models(tiny_models)
    assert found[Task.DETECT].stem == DETECTOR
    assert found[Task.POSE].stem == POSE_MODEL
    assert found[Task.SEGMENT].stem == SEGMENT_MODEL


def test_a_clip_shows_what_its_truth_says(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", seconds=1, fps=10, size=(320, 240))
    shown = list(frames(clip))
    assert [time_s for time_s, _ in shown] == pytest.approx([number / 10 for number in range(10)])
    for time_s, image in shown:
        for colour, channel in (("red", 0), ("green", 1)):
            other = 1 - channel
            x, y, width, height = np.array(truth(time_s)[colour]) * (320, 240, 320, 240)
            rows, columns = np.nonzero(image[..., channel].astype(int) - image[..., other] > 95)
            assert (columns.min(), rows.min()) == pytest.approx((x, y), abs=1.6)
            assert (columns.max() + 1, rows.max() + 1) == pytest.approx((x + width, y + height), abs=1.6)
