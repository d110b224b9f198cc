"""Converts between coordinates of the 320×240 canvas and of the frame that was sent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from inference.types import FRAME_HEIGHT, FRAME_WIDTH, Floats


@dataclass(frozen=True, slots=True)
class Letterbox:
    """The rectangle that the frame fills in the canvas, in canvas pixels. The rest is padding."""

    left: int
    top: int
    width: int
    height: int

    @classmethod
    def fit(cls, source_width: int, source_height: int) -> Letterbox:
        """Fits a frame into the canvas: centred, as large as possible, aspect kept to the pixel.

        Width and height are even, as swscale's chroma planes need.
        """
        scale = min(FRAME_WIDTH / source_width, FRAME_HEIGHT / source_height)
        width = min(FRAME_WIDTH, max(2, 2 * round(source_width * scale / 2)))
        height = min(FRAME_HEIGHT, max(2, 2 * round(source_height * scale / 2)))
        return cls((FRAME_WIDTH - width) // 2, (FRAME_HEIGHT - height) // 2, width, height)

    def boxes_to_frame(self, boxes: Floats) -> Floats:
        """[n, 4] x, y, width, height in canvas pixels → normalised to the frame, cut at its edges."""
        corners = np.stack((boxes[:, :2], boxes[:, :2] + boxes[:, 2:]), axis=1)
        corners = self.points_to_frame(corners).clip(0.0, 1.0)
        return np.concatenate((corners[:, 0], corners[:, 1] - corners[:, 0]), axis=1)

    def points_to_frame(self, points: Floats) -> Floats:
        """[..., 2 or more] with x, y in canvas pixels first → the same with x, y normalised to the frame."""
        moved = points.astype(np.float32, copy=True)
        moved[..., 0] = (moved[..., 0] - self.left) / self.width
        moved[..., 1] = (moved[..., 1] - self.top) / self.height
        return moved
