"""A frame on its way through inference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from inference.letterbox import Letterbox
from inference.types import FrameIdentity, Image


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame, ready for inference.

    ``canvas`` is uint8 [240, 320, 3] RGB, the frame letterboxed as ``letterbox`` says. ``for_ocr`` makes
    the RGB picture that OCR reads: as large as the frame was sent, though no longer than
    `inference.ocr.geometry.READABLE_SIDE`. It blocks, so it is called on an executor only.
    """

    identity: FrameIdentity
    canvas: Image
    letterbox: Letterbox
    for_ocr: Callable[[], Image]
