"""Decoded frames of a recorded clip, for tests that look at pictures and not at the transport."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np

from inference.types import FRAME_HEIGHT, FRAME_WIDTH, Image


def frames(clip: Path, every: int = 1, until_s: float = float("inf")) -> Iterator[tuple[float, Image]]:
    """Media time in seconds and RGB picture of each ``every``-th frame."""
    with av.open(str(clip)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            time_s = float(frame.time or 0.0)
            if time_s >= until_s:
                return
            if number % every == 0:
                yield time_s, frame.to_ndarray(format="rgb24")


def canvas_of(picture: Image) -> Image:
    """A 4:3 picture at the size that models are fed."""
    return np.asarray(
        cv2.resize(picture, (FRAME_WIDTH, FRAME_HEIGHT), interpolation=cv2.INTER_AREA), np.uint8
    )
