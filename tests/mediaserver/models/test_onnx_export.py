from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from inference.catalogue import CatalogueError
from inference.engines.contract import HeadLayout, Task
from inference.engines.embedded import EmbeddedEngine
from inference.stages import FRAME_NETWORKS, Stage, frame_network
from inference.types import FRAME_HEIGHT, FRAME_WIDTH, Image
from mediaserver.models.onnx_export import export, load_network, save, with_preprocessing
from tests.support.tiny_models import tiny_detector, tiny_pose, tiny_segmentation


def picture(red: tuple[int, int, int, int] = (40, 60, 64, 48)) -> Image:
    """Grey with a red and a green blob."""
    image = np.full((FRAME_HEIGHT, FRAME_WIDTH, 3), 128, np.uint8)
    x, y, width, height = red
    image[y : y + height, x : x + width] = (220, 30, 30)
    image[100:180, 200:260] = (30, 220, 30)
    return image


async def found(path: Path, task: Task, images: Image) -> list[tuple[object, ...]]:
    """For each picture boxes to a hundredth of a pixel, scores, classes and, where there are, outlines."""
    engine = await EmbeddedEngine.open({task: path})
    try:
        head = await engine.infer(task, images)
    finally:
        await engine.close()
    network, info = frame_network(task), engine.models[task]
    assert network is not None
    items = [network.decode(outputs, info, 0.05) for outputs in zip(*head, strict=True)]
    assert all(len(item.boxes) for item in items)
    return [
        (
            item.boxes.round(2).tolist(),
            item.scores.tolist(),
            item.classes.tolist(),
            [outline.round(2).tolist() for outline in getattr(item, "polygons", ())],
        )
        for item in items
    ]


@pytest.mark.parametrize(
    "layout", [HeadLayout.YOLOX, HeadLayout.ULTRALYTICS_DETECT, HeadLayout.END_TO_END], ids=str
)
async def test_a_detector_finds_the_same_with_its_preprocessing_inside(
    tmp_path: Path, layout: HeadLayout
) -> None:
    path = tmp_path / "blobs.onnx"
    onnx.save(tiny_detector(layout), path)
    path.with_suffix(".labels.txt").write_text("red\nblue\n")
    out = tmp_path / "out.onnx"
    parity = await export(path, FRAME_NETWORKS[Stage.DETECT], None, out, picture())
    assert (parity.objects, parity.score) == (2, 0)  # the blob, and its mirror image
    assert parity.box_px < 1e-3
    both = np.stack((picture(), picture((120, 20, 30, 30))))
    assert await found(out, Task.DETECT, both) == await found(path, Task.DETECT, both)


async def test_a_pose_model_too(tmp_path: Path) -> None:
    path = tmp_path / "pose.onnx"
    onnx.save(tiny_pose(), path)
    parity = await export(path, FRAME_NETWORKS[Stage.POSE], None, tmp_path / "out.onnx", picture())
    assert (parity.objects, parity.box_px, parity.score) == (2, 0, 0)


@pytest.mark.parametrize("layout", [HeadLayout.ULTRALYTICS_SEGMENT, HeadLayout.END_TO_END], ids=str)
async def test_segmentation_too_with_both_of_its_outputs(tmp_path: Path, layout: HeadLayout) -> None:
    path, out = tmp_path / "blobs_seg.onnx", tmp_path / "out.onnx"
    onnx.save(tiny_segmentation(layout, batch=1), path)
    parity = await export(path, FRAME_NETWORKS[Stage.SEGMENT], None, out, picture())
    assert (parity.objects, parity.box_px, parity.score) == (4, 0, 0)
    assert [output.name for output in onnx.load(out).graph.output] == ["head", "prototypes"]
    both = np.stack((picture(), picture((120, 20, 30, 30))))
    assert await found(out, Task.SEGMENT, both) == await found(path, Task.SEGMENT, both)


async def test_a_model_that_was_exported_says_what_it_is(tmp_path: Path) -> None:
    path, out = tmp_path / "blobs.onnx", tmp_path / "out.onnx"
    onnx.save(tiny_detector(), path)
    save(with_preprocessing(load_network(path), path, Task.DETECT), out)
    for file in (path, out):
        engine = await EmbeddedEngine.open({Task.DETECT: file})
        await engine.close()
        assert engine.models[Task.DETECT].labels == ("red", "blue")
        assert engine.models[Task.DETECT].name == "blobs"
    with pytest.raises(CatalogueError, match="takes the uint8 frame already"):
        with_preprocessing(load_network(out), out, Task.DETECT)


async def test_a_frame_that_must_be_scaled_is(tmp_path: Path, models_dir: Path, media_dir: Path) -> None:
    """A real network with a fixed batch of 1, fixed 416×416, its Reshapes made for them."""
    from tests.support.frames import canvas_of, frames

    _, frame = next(frames(media_dir / "pose.mp4", every=60))
    parity = await export(
        models_dir / "yolox_nano.onnx",
        FRAME_NETWORKS[Stage.DETECT],
        None,
        tmp_path / "out.onnx",
        canvas_of(frame),
    )
    assert parity.objects >= 2
    assert parity.box_px < 1
    assert parity.score < 0.05


async def test_a_picture_that_shows_nothing_proves_nothing(tmp_path: Path) -> None:
    path, out = tmp_path / "blobs.onnx", tmp_path / "out.onnx"
    onnx.save(tiny_detector(), path)
    with pytest.raises(CatalogueError, match="finds nothing on the picture"):
        await export(path, FRAME_NETWORKS[Stage.DETECT], None, out, np.full((240, 320, 3), 128, np.uint8))
    assert not out.exists()


def test_what_cannot_be_used_is_refused_in_words(tmp_path: Path) -> None:
    junk = tmp_path / "junk.onnx"
    junk.write_bytes(b"\x00 no model")
    with pytest.raises(CatalogueError, match="not a readable ONNX file"):
        load_network(junk)
    path = tmp_path / "blobs.onnx"
    onnx.save(tiny_detector(), path)
    with pytest.raises(CatalogueError, match="made for 320×256, it cannot work on 640×480"):
        load_network(path, (640, 480))
    load_network(path, (320, 240))
