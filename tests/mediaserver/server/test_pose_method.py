from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from inference.catalogue import CatalogueError, find_models
from inference.engines.contract import Task
from inference.engines.embedded import EmbeddedEngine
from mediaserver.server import pose_method
from mediaserver.server.pose_method import settle_pose_method
from tests.support.tiny_models import tiny_detector, tiny_pose, write_top_down_models


async def settled(folder: Path) -> set[Task]:
    """The tasks of poses that an engine with the models of ``folder`` keeps."""
    engine = await EmbeddedEngine.open(find_models(folder))
    try:
        await settle_pose_method(engine)
        return {Task.POSE, Task.POSE_CROP} & engine.models.keys()
    finally:
        await engine.close()


@pytest.fixture
def both(tmp_path: Path) -> Path:
    onnx.save(tiny_pose(), tmp_path / "pose.onnx")
    return write_top_down_models(tmp_path)


@pytest.mark.parametrize(("frame_s", "kept"), [(60.0, Task.POSE_CROP), (0.0, Task.POSE)])
async def test_the_way_that_keeps_up_with_frames_is_kept(
    both: Path, monkeypatch: pytest.MonkeyPatch, frame_s: float, kept: Task
) -> None:
    monkeypatch.setattr(pose_method, "_FRAME_S", frame_s)
    assert await settled(both) == {kept}


async def test_a_detector_without_persons_leaves_one_way(both: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pose_method, "_FRAME_S", 60.0)
    onnx.save(tiny_detector(), both / "colour_blobs.onnx")
    assert await settled(both) == {Task.POSE}
    (both / "pose.onnx").unlink()
    with pytest.raises(CatalogueError, match="need a detector that knows the label 'person'"):
        await settled(both)


async def test_where_there_is_one_way_nothing_is_tried(tmp_path: Path) -> None:
    assert await settled(write_top_down_models(tmp_path)) == {Task.POSE_CROP}
