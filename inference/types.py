"""The results of the pipeline for one frame.

Coordinates are normalised to the frame that was sent, with the origin at the top left. x goes to the right in
0..1 of the width, y down in 0..1 of the height. Boxes are ``(x, y, width, height)``. Only keypoints may lie
outside 0..1, if the model extrapolates them beyond the picture. Coordinates are rounded to a ten-thousandth
of the frame, scores to 3 digits, scores of keypoints to 2. Fields are named as on the wire.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Image: TypeAlias = NDArray[np.uint8]
"""uint8 [height, width, 3], RGB."""

Floats: TypeAlias = NDArray[np.float32]

Box: TypeAlias = tuple[float, float, float, float]
Point: TypeAlias = tuple[float, float]
Quad: TypeAlias = tuple[Point, Point, Point, Point]

FRAME_WIDTH = 320
FRAME_HEIGHT = 240
"""Size in pixels of the canvas for all models but those of OCR. Letterboxing keeps the frame's aspect."""


@dataclass(frozen=True, slots=True)
class FrameIdentity:
    """Identifies a frame, so that a client can draw a result on the picture that it belongs to.

    ``rtp_timestamp`` is 90 kHz, 32 bits, as on the wire; ``None`` for a frame sent as JPEG. ``pts_ms`` is
    media time in ms since the session's first frame, and never goes back. ``capture_time_ms`` is Unix time in
    ms, or ``None`` if unknown. It is on the sender's clock, or on this machine's if it is estimated.
    ``width`` and ``height`` are those of the sent frame, in pixels.
    """

    rtp_timestamp: int | None
    pts_ms: float
    capture_time_ms: float | None
    width: int
    height: int
    capture_time_estimated: bool = False


@dataclass(frozen=True, slots=True)
class Detection:
    """One object found by the detector.

    ``id`` is stable while the object is seen, and for up to 1 s of missed frames. ``velocity`` is in frame
    widths and heights a second, x to the right and y down. It is ``None`` when an object is found first.
    """

    id: int
    label: str
    score: float
    box: Box
    velocity: Point | None = None


@dataclass(frozen=True, slots=True)
class Pose:
    """One person's skeleton: 17 COCO keypoints as ``(x, y, score)``; ``id`` as in `Detection`."""

    id: int
    score: float
    box: Box
    keypoints: tuple[tuple[float, float, float], ...]


@dataclass(frozen=True, slots=True)
class Segment:
    """One object with its outline. ``id`` is as in `Detection`.

    ``polygon`` is closed and has 64 points at most; the first point is not repeated at the end. It is empty
    if the model gives no outline.
    """

    id: int
    label: str
    score: float
    box: Box
    polygon: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Text:
    """One line of text. ``quad`` is its four corners, clockwise from the text's own top left.

    ``id`` is stable over OCR runs, while the text is visible and for up to 10 s after. It is 0 before an id
    is assigned.
    """

    text: str
    score: float
    quad: Quad
    id: int = 0


@dataclass(frozen=True, slots=True)
class Motion:
    """Motion of the whole picture between the last two inferred frames.

    Units are frame widths and heights a second, x to the right and y down. If the camera turns to the right,
    the picture moves to the left.
    """

    dx: float
    dy: float
    magnitude: float


@dataclass(frozen=True, slots=True)
class PipelineResult:
    """The results of one frame.

    An empty tuple means that the stage ran and found nothing. ``None`` means that the stage was off, did not
    run on this frame, or failed. For ``texts`` it means that no OCR run ended since the last result.

    ``timing_ms`` holds milliseconds for each `inference.stages.Stage` that ran, except OCR. ``failures`` maps
    failed stages to the reason. ``texts_frame`` is the frame in which ``texts`` were read. ``followed_texts``
    are texts read in an earlier frame, at their places in this frame. They are ``None`` before the first OCR
    run has ended.
    """

    detections: tuple[Detection, ...] | None
    poses: tuple[Pose, ...] | None
    segments: tuple[Segment, ...] | None
    texts: tuple[Text, ...] | None
    motion: Motion | None
    timing_ms: dict[str, float]
    failures: dict[str, str]
    texts_frame: FrameIdentity | None = None
    followed_texts: tuple[Text, ...] | None = None
