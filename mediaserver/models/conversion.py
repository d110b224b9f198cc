"""Converts the TensorFlow.js graphs of `mediaserver.models.sources` to ONNX, and verifies the result.

``parity/`` holds a picture, and values of each original's output for it, recorded with TensorFlow.js. A model
whose output differs is not written.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import onnxruntime

from inference.types import Floats
from mediaserver.errors import ModelError, writing
from mediaserver.models.movenet import multipose, singlepose
from mediaserver.models.nanodet import SIZES, nanodet
from mediaserver.models.tfjs_graph import TfjsGraph, read_graph

if TYPE_CHECKING:
    from onnx import ModelProto

CONVERSIONS: dict[str, Callable[[TfjsGraph], ModelProto]] = {
    **{name: partial(nanodet, size=size) for name, size in SIZES.items()},
    "movenet_multipose": multipose,
    "movenet_thunder_topdown": singlepose,
    "movenet_lightning_topdown": singlepose,
}
RECORDED = Path(__file__).parent / "parity"
_TOLERANCE = 1e-3
"""Largest difference, in pixels or score, that another order of 32-bit additions may cause."""


def convert(name: str, topology: Path, weights: Path, target: Path) -> float:
    """Writes the ONNX model, and returns the largest difference from the original's output.

    Raises `ModelError` if the difference is too large, `UnreadableFile`, `OutputError`.
    """
    model = CONVERSIONS[name](read_graph(topology, weights))
    difference = float(np.abs(recorded_part(name, head(model)) - recorded_values(name)).max())
    if not difference <= _TOLERANCE:
        raise ModelError(f"{name}: the converted model differs from the original by {difference:.2g}")
    with writing(target):
        target.write_bytes(model.SerializeToString())
    return difference


def head(model: ModelProto) -> Floats:
    """Returns a model's output for the recorded picture, cut to the size of its input."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    height, width = session.get_inputs()[0].shape[2:]
    picture = recorded_picture(width, height).transpose(2, 0, 1)[np.newaxis]
    (output,) = session.run(None, {"images": picture / np.float32(255)})
    return np.asarray(output[0], np.float32)


def recorded_picture(width: int, height: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Returns the top left part of the recorded picture, uint8 [height, width, 3] RGB.

    A larger picture continues mirrored beyond the edges.
    """
    picture = cv2.imread(str(RECORDED / "street.png"), cv2.IMREAD_COLOR_RGB)
    assert picture is not None, "it comes with the package"
    below, right = (
        max(0, wanted - there) for wanted, there in zip((height, width), picture.shape, strict=False)
    )
    mirrored = cv2.copyMakeBorder(picture, 0, below, 0, right, cv2.BORDER_REFLECT)
    return np.asarray(mirrored[:height, :width], np.uint8)


def recorded_part(name: str, output: Floats) -> Floats:
    """Returns the values of an output at the recorded places."""
    with np.load(RECORDED / "originals.npz") as originals:
        return np.asarray(output.ravel()[originals[f"{name}.places"]], np.float32)


def recorded_values(name: str) -> Floats:
    """Returns the original's values at the recorded places."""
    with np.load(RECORDED / "originals.npz") as originals:
        return np.asarray(originals[f"{name}.values"], np.float32)
