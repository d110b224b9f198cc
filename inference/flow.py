"""Dense optical flow between the frames that are inferred: motion of the picture and of each box."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from inference.rounding import COORDINATE_DIGITS, rounded
from inference.types import Box, Floats, Image, Motion, Point

MAX_GAP_S = 1.0


@dataclass(frozen=True, slots=True)
class FlowField:
    """``velocity`` is float32 [height, width, 2]: x, y in frame widths and heights per second."""

    velocity: Floats

    def global_motion(self) -> Motion:
        """The median over the picture, so that moving objects on less than half of it do not count."""
        dx, dy = _median(self.velocity)
        return Motion(dx, dy, round(math.hypot(dx, dy), COORDINATE_DIGITS))

    def velocity_in(self, box: Box) -> Point:
        """The median inside ``box``; a box smaller than a cell or outside the picture takes the nearest."""
        rows, columns = self.velocity.shape[:2]
        x, y, width, height = box
        left = min(max(round(x * columns), 0), columns - 1)
        top = min(max(round(y * rows), 0), rows - 1)
        right = max(round((x + width) * columns), left + 1)
        bottom = max(round((y + height) * rows), top + 1)
        return _median(self.velocity[top:bottom, left:right])


class FlowEstimator:
    """Farnebäck flow ("Two-Frame Motion Estimation Based on Polynomial Expansion", SCIA 2003) on half-size
    grey frames, about 3 ms for a 320×240 canvas. It follows shifts of up to about 10 canvas pixels from
    frame to frame. Keeps the frame before; not for use by two threads at once."""

    def __init__(self) -> None:
        self._previous: cv2.typing.MatLike | None = None
        self._previous_time_s = 0.0

    def update(self, picture: Image, time_s: float) -> FlowField | None:
        """Flow since the picture before; ``None`` where there is none to compare with.

        ``picture`` is the canvas without its letterbox bars, so the field covers exactly the frame that
        was sent. It starts afresh when the size changes, time goes back or a gap is longer than 1 s.
        """
        height, width = picture.shape[:2]
        grey = cv2.resize(
            cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), (width // 2, height // 2), interpolation=cv2.INTER_AREA
        )
        previous, self._previous = self._previous, grey
        gap_s, self._previous_time_s = time_s - self._previous_time_s, time_s
        if previous is None or previous.shape != grey.shape or not 0 < gap_s <= MAX_GAP_S:
            return None
        shift = cv2.calcOpticalFlowFarneback(
            previous,
            grey,
            np.empty(0),
            pyr_scale=0.5,
            levels=3,
            winsize=15,
            iterations=2,
            poly_n=5,
            poly_sigma=1.1,
            flags=0,
        )
        rows, columns = grey.shape
        return FlowField((shift / np.array((columns * gap_s, rows * gap_s))).astype(np.float32))


def _median(velocity: Floats) -> Point:
    dx, dy = rounded(np.median(velocity.reshape(-1, 2), axis=0), COORDINATE_DIGITS).tolist()
    return dx, dy
