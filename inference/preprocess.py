"""Converts uint8 images to the input tensor of a network."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.engines.contract import Placement
from inference.types import FRAME_HEIGHT, FRAME_WIDTH, Floats

PADDING = 114
"""Value of the padding pixels around the frame, as in the training of YOLO models."""


@dataclass(frozen=True, slots=True)
class InputSpec:
    """The input of a network: NCHW float32, ``value = (pixel − mean) · scale`` for each channel.

    Channels are in the order BGR if ``bgr``, else RGB. Without a ``placement`` images keep their size.
    """

    placement: Placement | None
    bgr: bool
    mean: tuple[float, float, float]
    scale: tuple[float, float, float]


UNSCALED = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
UNIT = ((0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255))


def place(width: int, height: int, *, centred: bool) -> Placement:
    """Places the 320×240 canvas in a network input of that size: as large as fits, centred or top left."""
    scale = min(width / FRAME_WIDTH, height / FRAME_HEIGHT)
    left = (width - FRAME_WIDTH * scale) / 2 if centred else 0.0
    top = (height - FRAME_HEIGHT * scale) / 2 if centred else 0.0
    return Placement(width, height, scale, float(int(left)), float(int(top)))


def to_tensor(images: NDArray[np.uint8], spec: InputSpec) -> Floats:
    """Converts uint8 [n, height, width, 3] RGB to float32 [n, 3, network height, network width]."""
    if spec.placement is not None:
        images = _placed(images, spec.placement)
    planes = images.transpose(0, 3, 1, 2)
    if spec.bgr:
        planes = planes[:, ::-1]
    tensor = np.ascontiguousarray(planes, dtype=np.float32)
    if any(spec.mean):
        tensor -= np.array(spec.mean, np.float32).reshape(1, 3, 1, 1)
    if spec.scale != (1.0, 1.0, 1.0):
        tensor *= np.array(spec.scale, np.float32).reshape(1, 3, 1, 1)
    return tensor


def _placed(images: NDArray[np.uint8], placement: Placement) -> NDArray[np.uint8]:
    count = len(images)
    canvas = np.full((count, placement.height, placement.width, 3), PADDING, np.uint8)
    left, top = int(placement.left), int(placement.top)
    width, height = round(FRAME_WIDTH * placement.scale), round(FRAME_HEIGHT * placement.scale)
    for index in range(count):
        image = images[index]
        if (height, width) != image.shape[:2]:
            image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
        canvas[index, top : top + height, left : left + width] = image
    return canvas
