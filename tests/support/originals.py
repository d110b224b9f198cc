"""What TensorFlow.js makes of the graphs that `mediaserver.models.conversion` converts.

``python -m tests.support.originals`` records it anew, with the picture that it is made of: a moment of the
sample clip.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from inference.preprocess import PADDING
from inference.types import Floats, Image
from mediaserver.models import movenet, nanodet
from mediaserver.models.conversion import CONVERSIONS, RECORDED, recorded_picture
from mediaserver.models.sources import SOURCES
from rendered_world import film
from tests.support.node_packages import installed
from tests.support.pulled import source_files

_PROJECT = Path(__file__).parent / "tensorflow_js"
_TIMEOUT_S = 300.0
_MOMENT = 250
_ANCHORS = 40
"""Of a detector's thousands: the best ones."""
_MEAN, _DEVIATION = (103.53, 116.28, 123.675), (57.375, 57.12, 58.395)
_SIZES = {"Cast_1": 16, "Cast_3": 8, "Cast_5": 16, "Cast_7": 32}
"""Of NanoDet's resizes, each the input's divided by this."""

_CROP_SIDES = {"movenet_thunder_topdown": 256, "movenet_lightning_topdown": 192}


def original(name: str) -> Floats:
    """The output of the original for the recorded picture, laid out as that of the converted model is."""
    if name in _CROP_SIDES:
        return _singlepose(name)
    return _nanodet(name) if name in nanodet.SIZES else _multipose()


def _nanodet(name: str) -> Floats:
    width, height = nanodet.SIZES[name].width, nanodet.SIZES[name].height
    picture = recorded_picture(width, height)[..., ::-1]
    tensor = ((picture - np.array(_MEAN)) / _DEVIATION).transpose(2, 0, 1)[np.newaxis].astype(np.float32)
    sizes = {f"PartitionedCall/{node}": [height // by, width // by] for node, by in _SIZES.items()}
    outputs = ["Identity", "Identity_1", "Identity_2", "Identity_3", "Identity_4", "Identity_5"]
    *classes, first, second, third = _run(name, tensor, outputs, sizes)
    boxes = [
        _boxes(sides[0], stride, width)
        for sides, stride in zip((first, second, third), (8, 16, 32), strict=True)
    ]
    return np.concatenate((np.concatenate(boxes), np.concatenate(classes, axis=1)[0]), axis=1).T


def _boxes(sides: Floats, stride: int, width: int) -> Floats:
    likely = np.exp(sides.reshape(-1, 4, 11))
    likely /= likely.sum(axis=2, keepdims=True)
    left, top, right, bottom = (likely @ np.arange(11) * stride).T
    row, column = np.divmod(np.arange(len(sides)), width // stride)
    x, y = (column + 0.5) * stride, (row + 0.5) * stride
    return np.stack((x + (right - left) / 2, y + (bottom - top) / 2, left + right, top + bottom), axis=1)


def _multipose() -> Floats:
    width, height = movenet.WIDTH, movenet.HEIGHT
    (output,) = _run("movenet_multipose", recorded_picture(width, height)[np.newaxis].astype(np.int32))
    persons = output[0]
    keypoints = persons[:, :51].reshape(-1, 17, 3)[..., [1, 0, 2]] * (width, height, 1)
    boxes = persons[:, [52, 51, 54, 53]] * (width, height, width, height)
    scores = np.stack((np.sqrt(persons[:, 55]), np.zeros(len(persons))), axis=1)
    return np.concatenate((boxes, scores, keypoints.reshape(-1, 51)), axis=1)


def _singlepose(name: str) -> Floats:
    picture = recorded_picture(_CROP_SIDES[name], _CROP_SIDES[name])
    (output,) = _run(name, picture[np.newaxis].astype(np.int32))
    return output[0, 0][:, [1, 0, 2]]


def _run(
    name: str, tensor: Any, outputs: list[str] | None = None, sizes: dict[str, list[int]] | None = None
) -> list[Floats]:
    """The values of nodes of the original graph."""
    topology, _ = source_files(name)
    packages = installed(_PROJECT)
    with tempfile.TemporaryDirectory() as folder:
        given, gives = Path(folder) / "input", Path(folder) / "output.json"
        given.write_bytes(tensor.tobytes())
        description = {
            "shape": tensor.shape,
            "type": tensor.dtype.name,
            "sizes": sizes or {},
            "outputs": outputs or ["Identity"],
        }
        program = packages / "run.mjs"  # beside the packages, where node looks for them
        program.write_text((_PROJECT / "run.mjs").read_text())
        command = ["node", str(program), str(topology), str(given), str(gives), json.dumps(description)]
        subprocess.run(command, check=True, capture_output=True, timeout=_TIMEOUT_S)
        values = json.loads(gives.read_text())
    return [np.array(each["data"], np.float32).reshape(each["shape"]) for each in values]


def _picture() -> Image:
    """Uint8 [320, 416, 3]: the drawn frame, centred, as large as the largest of them takes it."""
    picture = np.full((320, 416, 3), PADDING, np.uint8)
    picture[4:316] = cv2.resize(film.frame(_MOMENT)[0], (416, 312), interpolation=cv2.INTER_AREA)
    return picture


def record() -> None:
    """Writes the picture and the numbers."""
    cv2.imwrite(str(RECORDED / "street.png"), _picture()[..., ::-1])
    numbers = {}
    for name in CONVERSIONS:
        output = original(name)
        places = np.arange(output.size, dtype=np.int32)
        if name in nanodet.SIZES:
            best = np.argsort(-output[4:].max(axis=0))[:_ANCHORS]
            places = places.reshape(output.shape)[:, best].ravel()
        numbers |= {f"{name}.places": places, f"{name}.values": output.ravel()[places].astype(np.float32)}
    np.savez_compressed(RECORDED / "originals.npz", **numbers)


if __name__ == "__main__":
    assert set(CONVERSIONS) <= set(SOURCES)
    record()
