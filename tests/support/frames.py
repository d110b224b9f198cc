"""Frames without a transport: those of a recorded clip, and pictures made ready for the pipeline."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from inference.letterbox import Letterbox
from inference.pipeline import Frame
from inference.types import FRAME_HEIGHT, FRAME_WIDTH, FrameIdentity, Image
from mediaserver.client.recording import open_recording


def frames(clip: Path, every: int = 1, until_s: float = float("inf")) -> Iterator[tuple[float, Image]]:
    """Media time in seconds and RGB picture of each ``every``-th frame."""
    with open_recording(clip) as recording:
        for number, frame in enumerate(recording.frames()):
            if frame.time >= until_s:
                return
            if number % every == 0:
                yield frame.time, np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)


def canvas_of(picture: Image) -> Image:
    """A 4:3 picture at the size that models are fed."""
    return np.asarray(
        cv2.resize(picture, (FRAME_WIDTH, FRAME_HEIGHT), interpolation=cv2.INTER_AREA), np.uint8
    )


def frame_of(picture: Image, time_s: float = 0.0) -> Frame:
    """A picture of any shape as the pipeline takes it, as if sent as JPEG."""
    height, width = picture.shape[:2]
    box = Letterbox.fit(width, height)
    canvas = np.full((FRAME_HEIGHT, FRAME_WIDTH, 3), 114, np.uint8)
    canvas[box.top : box.top + box.height, box.left : box.left + box.width] = cv2.resize(
        picture, (box.width, box.height), interpolation=cv2.INTER_AREA
    )
    return Frame(FrameIdentity(None, time_s * 1000.0, None, width, height), canvas, box, lambda: picture)
