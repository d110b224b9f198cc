"""Pictures that are as hard to code as a room before a camera."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from tests.support.clips import picture

WIDTH, HEIGHT = 640, 480


def camera_pictures(seconds: float) -> Iterator[NDArray[np.uint8]]:
    """RGB at 30 fps: texture and noise around things that move."""
    random = np.random.default_rng(seed=1)
    texture = cv2.resize(random.integers(0, 80, (60, 80, 3), np.uint8), (WIDTH, HEIGHT)).astype(np.int16)
    for number in range(round(seconds * 30)):
        noise = random.integers(-6, 7, (HEIGHT, WIDTH, 1), np.int16)
        shown = picture(number / 30, (WIDTH, HEIGHT)).astype(np.int16) + texture - 40 + noise
        yield np.clip(shown, 0, 255).astype(np.uint8)


def write_camera_recording(path: Path, seconds: int) -> Path:
    """H.264, five seconds over and over."""
    pictures = list(camera_pictures(5))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"preset": "ultrafast", "crf": "20"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(30 * seconds):
            shown = pictures[number % len(pictures)]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(shown, format="rgb24")))
        container.mux(stream.encode())
    return path
