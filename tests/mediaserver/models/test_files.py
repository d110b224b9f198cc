from __future__ import annotations

from pathlib import Path

import pytest

from inference.engines.contract import Task
from mediaserver.errors import ModelError
from mediaserver.models.files import files_in_use
from mediaserver.settings.model import Settings

WAYS = {Task.POSE, Task.POSE_CROP}


@pytest.fixture(autouse=True)
def pulled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of pulled models, with a detector and one for each way to find poses."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = tmp_path / "mediaserver" / "models"
    folder.mkdir(parents=True)
    for name in ("nanodet_g", "movenet_multipose", "movenet_thunder_topdown", "movenet_lightning_topdown"):
        (folder / f"{name}.onnx").touch()
    return folder


def poses(**settings: str) -> dict[Task, str]:
    return {task: path.stem for task, path in files_in_use(Settings(**settings)).items() if task in WAYS}


def test_without_a_setting_both_ways_are_there_to_choose_from() -> None:
    assert poses() == {Task.POSE: "movenet_multipose", Task.POSE_CROP: "movenet_thunder_topdown"}


def test_a_setting_chooses_the_way_or_the_very_model() -> None:
    assert poses(pose_method="single-shot") == {Task.POSE: "movenet_multipose"}
    assert poses(pose_method="top-down") == {Task.POSE_CROP: "movenet_thunder_topdown"}
    lightning = {Task.POSE_CROP: "movenet_lightning_topdown"}
    assert poses(pose_model="movenet_lightning_topdown") == lightning
    assert poses(pose_model="movenet_lightning_topdown", pose_method="top-down") == lightning


@pytest.mark.parametrize(
    ("method", "model"), [("single-shot", "movenet_lightning_topdown"), ("top-down", "movenet_multipose")]
)
def test_a_model_for_the_other_way_is_refused(method: str, model: str) -> None:
    with pytest.raises(
        ModelError, match=f"'pose_method' is '{method}', but 'pose_model' '{model}' is no {method} model"
    ):
        poses(pose_method=method, pose_model=model)


def test_a_way_without_a_model_is_refused_with_the_command_that_fetches_one(pulled: Path) -> None:
    for path in pulled.glob("*topdown*"):
        path.unlink()
    with pytest.raises(ModelError, match="mediaserver models pull movenet_thunder_topdown"):
        poses(pose_method="top-down")
