from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed (the extra 'train')")

from train import batches, network_input, render  # noqa: E402


def test_marks_and_pictures_are_mirrored_together() -> None:
    scenes = render(8, 0, processes=1)
    for pictures, targets in batches(scenes, 8, 2, np.random.default_rng(0)):
        assert pictures.shape == (8, 3, 256, 320)
        real = targets.real
        assert (targets.boxes[real][:, 2:] > targets.boxes[real][:, :2]).all()
        marked = targets.keypoints[..., 2] > 0
        corners = targets.boxes[:, :, None].expand(-1, -1, 17, -1)[marked]
        joints = targets.keypoints[marked][:, :2]
        # A joint lies in its person's box; a wrist is drawn thicker than it is.
        assert (joints > corners[:, :2] - 2).all()
        assert (joints < corners[:, 2:] + 2).all()


def test_the_frame_lies_in_the_middle_of_the_input_and_padding_is_grey() -> None:
    tensor = network_input(np.full((1, 240, 320, 3), 255, np.uint8))
    assert tensor[0, :, 8:248].min() == 1
    assert tensor[0, :, :8].unique().item() == pytest.approx(114 / 255)


def test_from_nothing_to_models(tmp_path: Path) -> None:
    command = (sys.executable, "triton/train/train.py", "--to", str(tmp_path), "--processes", "1")
    done = subprocess.run(
        (*command, "--scenes", "24", "--epochs", "1", "--batch", "4"),
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "done in" in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["detect.onnx", "pose.onnx"]
