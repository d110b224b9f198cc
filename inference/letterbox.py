"""How a frame of any size sits in the 320×240 canvas, and the way back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from inference.types import FRAME_HEIGHT, FRAME_WIDTH, Floats


@dataclass(frozen=True, slots=True)
class Letterbox:
    """The rectangle of the canvas, in its pixels, that the whole frame fills; the rest is padding."""

    left: int
    top: int
    width: int
    height: int

    @classmethod
    def fit(cls, source_width: int, source_height: int) -> Letterbox:
        """Centred, as large as fits, aspect kept to the pixel. Even, as swscale's chroma likes it."""
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
