"""A frame on its way through inference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from inference.letterbox import Letterbox
from inference.types import FrameIdentity, Image


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame, ready for inference.

    ``canvas`` is uint8 [240, 320, 3] RGB: the frame, placed as ``letterbox`` describes. ``for_ocr`` makes the
    RGB picture that OCR reads. That picture has the sent size, with a longer side of at most
    `inference.ocr.geometry.READABLE_SIDE` pixels. The call blocks and must run on an executor.
    """

    identity: FrameIdentity
    canvas: Image
    letterbox: Letterbox
    for_ocr: Callable[[], Image]

    @property
    def picture(self) -> Image:
        """The canvas without its letterbox bars, as a view."""
        box = self.letterbox
        return self.canvas[box.top : box.top + box.height, box.left : box.left + box.width]
