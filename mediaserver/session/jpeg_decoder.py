"""Decodes JPEG with FFmpeg, large pictures at a reduced scale.

Not with OpenCV: its libjpeg writes a line to stderr for each damaged picture, past the log and its limits.
"""

from __future__ import annotations

import av
from av.error import FFmpegError

from signaling.jpeg import JpegError, JpegFrame

MAX_PIXELS = 1920 * 1080
"""Of a decoded picture. The models look at 320×240 pixels, and OCR reads what this many can show."""


def decode_jpeg(frame: JpegFrame) -> av.VideoFrame:
    """Decodes; blocking, for an executor. Raises `JpegError`.

    A picture of more than `MAX_PIXELS` comes at a half, a quarter or an eighth of its size: FFmpeg then
    computes only so many samples of each block.
    """
    # Anew for each picture: else tables and memory of one would stay for the next.
    decoder = av.VideoCodecContext.create("mjpeg", "r")
    decoder.thread_count = 1
    decoder.options = {"lowres": str(_halvings(frame))}
    try:
        decoder.open()
        pictures = decoder.decode(av.Packet(frame.data))
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
