"""Scales a frame from the slot to the 320×240 canvas for the models."""

from __future__ import annotations

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from inference.frame import Frame
from inference.letterbox import Letterbox
from inference.ocr.geometry import READABLE_SIDE
from inference.types import FRAME_HEIGHT, FRAME_WIDTH, Image
from mediaserver.session.frame_sink import PendingFrame
from mediaserver.session.jpeg_decoder import decode_jpeg
from mediaserver.session.orientation import as_shown
from signaling.jpeg import JpegFrame, Orientation

_PADDING = 114
_THREADS = 1
"""Threads of FFmpeg: the calling thread only. By default FFmpeg starts one per processor and session."""


class FrameScaler:
    """Makes the letterboxed 320×240 canvas. It keeps swscale's context, and is not thread-safe."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def prepare(self, pending: PendingFrame) -> Frame:
        """Decodes a JPEG frame, and scales. Blocks: run it on an executor.

        `Frame.for_ocr` keeps the full picture. Raises `signaling.jpeg.JpegError`.
        """
        picture, orientation = _decoded(pending.picture)
        letterbox = Letterbox.fit(pending.identity.width, pending.identity.height)
        size = (letterbox.width, letterbox.height)
        width, height = reversed(size) if orientation.is_sideways else size
        scaled = self._reformatter.reformat(
            picture,
            width=width,
            height=height,
            format="rgb24",
            interpolation=Interpolation.AREA,
            threads=_THREADS,
        )
        return Frame(
            identity=pending.identity,
            canvas=_padded(as_shown(_pixels(scaled), orientation), letterbox),
            letterbox=letterbox,
            for_ocr=lambda: as_shown(_pixels(_readable(picture)), orientation),
        )


def _decoded(picture: av.VideoFrame | JpegFrame) -> tuple[av.VideoFrame, Orientation]:
    """Returns the picture as coded, and its orientation. A small picture is cheaper to turn.

    Senders over WebRTC turn their pictures themselves.
    """
    if isinstance(picture, JpegFrame):
        return decode_jpeg(picture), picture.orientation
    return picture, Orientation.AS_CODED


def _readable(picture: av.VideoFrame) -> av.VideoFrame:
    """Scales to the size for OCR and converts to RGB in one step, without a copy in between."""
    scale = min(1.0, READABLE_SIDE / max(picture.width, picture.height))
    return picture.reformat(
        width=max(1, round(picture.width * scale)),
        height=max(1, round(picture.height * scale)),
        format="rgb24",
        interpolation=Interpolation.AREA,
        threads=_THREADS,
    )


def _pixels(picture: av.VideoFrame) -> Image:
    return np.asarray(picture.to_ndarray(format="rgb24"), np.uint8)


def _padded(scaled: Image, letterbox: Letterbox) -> Image:
    if scaled.shape == (FRAME_HEIGHT, FRAME_WIDTH, 3):
        return scaled
    canvas = np.full((FRAME_HEIGHT, FRAME_WIDTH, 3), _PADDING, np.uint8)
    rows = slice(letterbox.top, letterbox.top + letterbox.height)
    columns = slice(letterbox.left, letterbox.left + letterbox.width)
    canvas[rows, columns] = scaled
    return canvas
