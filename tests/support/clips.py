"""A clip of our own making, whose every object is known: a red and a green square that move on grey."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from inference.types import Box, Image

_PERIOD_S = 4.0
_SIZE = (0.15, 0.2)
"""Of a square, in widths and heights of the picture; a true square where that is 4:3."""

_COLOURS = {"red": (220, 30, 30), "green": (30, 220, 30)}


def truth(time_s: float) -> dict[str, Box]:
    """Where each colour is: x, y, width, height, normalised. Red swings in the upper half of the picture,
    green in the lower half, the other way; nothing moves more than 0.02 of the width in 33 ms."""
    swing = math.sin(2 * math.pi * time_s / _PERIOD_S)
    return {"red": (0.425 + 0.3 * swing, 0.15, *_SIZE), "green": (0.425 - 0.3 * swing, 0.6, *_SIZE)}


def picture(time_s: float, size: tuple[int, int] = (640, 480)) -> Image:
    """The frame at that time, RGB, ``size`` is width and height; edges lie within half a pixel of `truth`."""
    width, height = size
    image = np.full((height, width, 3), 128, np.uint8)
    for name, (x, y, box_width, box_height) in truth(time_s).items():
        first = (round(x * width), round(y * height))
        last = (round((x + box_width) * width) - 1, round((y + box_height) * height) - 1)
        cv2.rectangle(image, first, last, _COLOURS[name], cv2.FILLED)
    return image


def write_clip(path: Path, seconds: float = 3, fps: int = 30, size: tuple[int, int] = (640, 480)) -> Path:
    """Writes H.264 in the container that the suffix of ``path`` names; frame n is shown at n / fps s."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"preset": "veryfast", "crf": "18"})
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.time_base = Fraction(1, fps)
        for number in range(round(seconds * fps)):
            frame = av.VideoFrame.from_ndarray(picture(number / fps, size), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
