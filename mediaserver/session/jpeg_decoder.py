"""Decodes JPEG with FFmpeg, large pictures at a reduced scale.

OpenCV is not used, as its libjpeg writes a line to stderr for each damaged picture. These lines would bypass
the log's rate limit.
"""

from __future__ import annotations

import av
from av.error import FFmpegError

from signaling.jpeg import JpegError, JpegFrame

MAX_PIXELS = 1920 * 1080
"""Pixels of a decoded picture at most: enough for OCR. The other models take 320×240 pixels."""


def decode_jpeg(frame: JpegFrame) -> av.VideoFrame:
    """Decodes a picture without turning it. Blocks: run it on an executor.

    A picture of more than `MAX_PIXELS` is decoded at a half, a quarter or an eighth of its size. FFmpeg then
    computes fewer samples of each block. Raises `JpegError` and ``MemoryError``.
    """
    # A new decoder for each picture, so that no tables or memory remain from the last.
    decoder = av.VideoCodecContext.create("mjpeg", "r")
    decoder.thread_count = 1
    decoder.options = {"lowres": str(_halvings(frame))}
    try:
        decoder.open()
        pictures = decoder.decode(av.Packet(frame.data))
    except MemoryError:  # an FFmpegError, too
        raise
    except FFmpegError as exc:
        raise JpegError("the JPEG picture cannot be decoded") from exc
    if not pictures:
        raise JpegError("the JPEG picture cannot be decoded")
    return pictures[0]


def _halvings(frame: JpegFrame) -> int:
    count = 0
    while (frame.width >> count) * (frame.height >> count) > MAX_PIXELS:
        count += 1
    return count
