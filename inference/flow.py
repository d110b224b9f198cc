"""Dense optical flow between consecutive inferred frames: motion of the picture and of each box."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from inference.rounding import COORDINATE_DIGITS, rounded
from inference.types import Box, Floats, Image, Motion, Point

MAX_GAP_S = 1.0


_FOLLOWED = 3.0
"""Largest reliable shift in pixels of the half-size frames: half of the largest that can be followed."""
_MIN_CONTRAST = 12.0
"""Least difference of brightness, of 255, over four pixels at which motion can be seen."""
_MIN_TEXTURED = 0.02
"""Least share of the picture with that contrast."""
_NOISE = 3.0
"""Difference of brightness, of 255, from frame to frame in a still picture."""
_MIN_EXPLAINED = 0.6
"""Least share of the textured pixels that a shift of the whole picture must explain."""


@dataclass(frozen=True, slots=True)
class FlowField:
    """The optical flow between two frames that are ``gap_s`` seconds apart.

    ``velocity`` is float32 [height, width, 2]: x, y in frame widths and heights a second. ``explains`` is
    true if the previous picture, shifted by the median velocity, matches this picture.
    """

    velocity: Floats
    gap_s: float
    explains: bool = True

    def global_motion(self) -> Motion | None:
        """Returns the median velocity, which ignores objects on less than half of the picture.

        ``None`` if it cannot be known: too little texture, too large a shift, or no common motion.
        """
        if not self.explains:
            return None
        dx, dy = _median(self.velocity)
        return Motion(dx, dy, round(math.hypot(dx, dy), COORDINATE_DIGITS))

    def velocity_in(self, box: Box) -> Point:
        """Median velocity inside ``box``, x, y, width, height normalised to the frame.

        For a box that is smaller than a cell, or outside the picture, it is that of the nearest cell.
        """
        rows, columns = self.velocity.shape[:2]
        x, y, width, height = box
        left = min(max(round(x * columns), 0), columns - 1)
        top = min(max(round(y * rows), 0), rows - 1)
        right = max(round((x + width) * columns), left + 1)
        bottom = max(round((y + height) * rows), top + 1)
        return _median(self.velocity[top:bottom, left:right])

    def follows(self, velocity: Point) -> bool:
        """Whether ``velocity`` is slow enough to be measured. Flow underestimates larger shifts."""
        rows, columns = self.velocity.shape[:2]
        return math.hypot(velocity[0] * columns, velocity[1] * rows) * self.gap_s <= _FOLLOWED


class FlowEstimator:
    """Farnebäck flow on half-size grey frames, about 3 ms for a 320×240 canvas.

    Source: "Two-Frame Motion Estimation Based on Polynomial Expansion", SCIA 2003. It follows shifts of up to
    about 10 canvas pixels from frame to frame. It keeps the previous frame, and is not thread-safe.
    """

    def __init__(self) -> None:
        self._previous: cv2.typing.MatLike | None = None
        self._previous_time_s = 0.0

    def update(self, picture: Image, time_s: float) -> FlowField | None:
        """Returns the flow since the previous picture, or ``None`` if there is no previous picture.

        ``picture`` is the canvas without its letterbox bars, so the field covers exactly the frame that was
        sent. ``time_s`` is media time. The estimator starts anew if the size changes, time goes back or a gap
        is longer than 1 s.
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
        velocity = (shift / np.array((columns * gap_s, rows * gap_s))).astype(np.float32)
        return FlowField(velocity, gap_s, _explains(np.median(shift.reshape(-1, 2), axis=0), previous, grey))


def _median(velocity: Floats) -> Point:
    dx, dy = rounded(np.median(velocity.reshape(-1, 2), axis=0), COORDINATE_DIGITS).tolist()
    return dx, dy


def _explains(shift: Floats, before: cv2.typing.MatLike, after: cv2.typing.MatLike) -> bool:
    """Whether ``before``, shifted by ``shift`` (x, y pixels), matches ``after`` in its textured parts.

    A change of overall brightness is ignored.
    """
    rows, columns = after.shape
    matrix = np.array(((1, 0, shift[0]), (0, 1, shift[1])), np.float32)
    moved = cv2.warpAffine(before, matrix, (columns, rows), borderMode=cv2.BORDER_REPLICATE).astype(
        np.float32
    )
    inner = slice(2, -2)
    contrast = np.maximum(
        np.abs(moved[inner, 4:] - moved[inner, :-4]), np.abs(moved[4:, inner] - moved[:-4, inner])
    )
    textured = contrast >= _MIN_CONTRAST
    if np.count_nonzero(textured) < max(1, _MIN_TEXTURED * textured.size):
        return False
    change = after[inner, inner] - moved[inner, inner]
    unexplained = np.abs(change - np.median(change)) > _NOISE + contrast / 4
    return bool(unexplained[textured].mean() <= 1 - _MIN_EXPLAINED)
