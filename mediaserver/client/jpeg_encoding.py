"""Frames of a clip as JPEG."""

from __future__ import annotations

import av
import cv2
import numpy as np


def encode_jpeg(frame: av.VideoFrame, width: int, height: int, quality: int) -> bytes:
    """Scaled down, where it is larger, to fit ``width`` × ``height`` pixels; ``quality`` is 1..100."""
    scale = min(1.0, width / frame.width, height / frame.height)
    picture = frame.reformat(
        width=max(1, round(frame.width * scale)), height=max(1, round(frame.height * scale)), format="bgr24"
    ).to_ndarray()
    _, data = cv2.imencode(".jpg", np.asarray(picture, np.uint8), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return bytes(data)
