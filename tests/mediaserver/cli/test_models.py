"""``mediaserver models`` as a user meets it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from mediaserver.cli.main import main
from tests.support.tiny_models import DETECTOR, POSE_MODEL, SEGMENT_MODEL


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A photograph's stand-in, larger than a frame, with a red and a green thing in it."""
    pixels = np.full((480, 640, 3), 128, np.uint8)
    pixels[100:200, 100:240] = (30, 30, 220)
    pixels[240:400, 400:520] = (30, 220, 30)
    path = tmp_path / "picture.png"
    cv2.imwrite(str(path), pixels)
    return path


def test_list_tells_what_is_used(tiny_models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "list", "--models", str(tiny_models)]) == 0
    shown = capsys.readouterr().out
    assert f"{tiny_models / DETECTOR}.onnx  yours, used for detect" in shown
    assert f"{tiny_models / POSE_MODEL}.onnx  yours, used for pose" in shown


def test_without_a_folder_of_your_own_a_model_is_added_to_the_cache(
    tiny_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("MEDIASERVER_MODELS", raising=False)
    assert main(["models", "add", str(tiny_models / f"{DETECTOR}.onnx")]) == 0
    assert main(["models", "list"]) == 0
    added = tmp_path / "mediaserver" / "models" / f"{DETECTOR}.onnx"
    assert f"{added}  yours, used for detect" in capsys.readouterr().out


def test_an_exported_model_can_be_added_and_is_checked(
    tiny_models: Path, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, folder = tmp_path / "mine.onnx", tmp_path / "models"
    weights = str(tiny_models / f"{DETECTOR}.onnx")
    arguments = ["--size", "320x240", "--image", str(picture), "--out", str(out)]
    assert main(["models", "export", weights, "--task", "detect", *arguments]) == 0
    assert "finds the same 2 objects as colour_blobs.onnx" in capsys.readouterr().out
    assert main(["models", "add", str(out), "--models", str(folder)]) == 0
    assert "colour_blobs: detect, candidates head, 2 classes, looks at 320×256" in capsys.readouterr().out
    assert [path.name for path in folder.iterdir()] == ["mine.onnx"]


def test_a_segmentation_model_is_checked_exported_and_added(
    tiny_models: Path, picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights, out, folder = (
        tiny_models / f"{SEGMENT_MODEL}.onnx",
        tmp_path / "mine-seg.onnx",
        tmp_path / "models",
    )
    task = ["--task", "segment"]
    assert main(["models", "check", str(weights), *task]) == 0
    assert "segment, ultralytics-segment head, 3 classes" in capsys.readouterr().out
    assert main(["models", "export", str(weights), *task, "--image", str(picture), "--out", str(out)]) == 0
    assert "finds the same 4 objects" in capsys.readouterr().out
    assert main(["models", "add", str(out), *task, "--models", str(folder)]) == 0
    assert main(["models", "list", "--models", str(folder)]) == 0
    assert f"{folder / 'mine-seg.onnx'}  yours, used for segment" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["list", "--models", "nowhere"], "the folder nowhere does not exist"),
        (["check", "nothing.onnx"], "nothing.onnx: no such file; mediaserver models list"),
        (
            ["check", "{models}/colour_blobs.onnx", "--task", "pose"],
            "a model for the task 'detect' cannot pose",
        ),
        (["export", "{models}/colour_blobs.onnx", "--image", "nothing.png"], "nothing.png is no picture"),
        (["export", "weights.pt", "--image", "{picture}"], "weights.pt"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    arguments: list[str], words: str, tiny_models: Path, picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    filled = [item.format(models=tiny_models, picture=picture) for item in arguments]
    assert main(["models", *filled]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert words in lines[0]
