"""From a frame in the slot to the 320×240 frame that the models look at."""

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
from signaling.jpeg import JpegFrame

_PADDING = 114


class FrameScaler:
    """Makes the 320×240 letterboxed frame. Keeps swscale's context; one thread at a time."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def prepare(self, pending: PendingFrame) -> Frame:
        """Decodes where needed and scales; blocking, for an executor. Raises `signaling.jpeg.JpegError`.

        The picture itself stays behind `Frame.for_ocr`.
        """
        picture = decode_jpeg(pending.picture) if isinstance(pending.picture, JpegFrame) else pending.picture
        letterbox = Letterbox.fit(pending.identity.width, pending.identity.height)
        scaled = self._reformatter.reformat(
            picture,
            width=letterbox.width,
            height=letterbox.height,
            format="rgb24",
            interpolation=Interpolation.AREA,
        )
        return Frame(
            identity=pending.identity,
            canvas=_padded(_pixels(scaled), letterbox),
            letterbox=letterbox,
            for_ocr=lambda: _pixels(_readable(picture)),
        )


def _readable(picture: av.VideoFrame) -> av.VideoFrame:
    """Scaled and made RGB in one step: in between there is no copy of the whole picture."""
    scale = min(1.0, READABLE_SIDE / max(picture.width, picture.height))
    return picture.reformat(
        width=max(1, round(picture.width * scale)),
        height=max(1, round(picture.height * scale)),
        format="rgb24",
        interpolation=Interpolation.AREA,
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
