"""JPEG frames on the WebSocket as bytes: their size and their capture time, without decoding them."""

from __future__ import annotations

import re
from dataclasses import dataclass

_MAX_SIDE = 4096
_SOI, _EOI = b"\xff\xd8", b"\xff\xd9"
_COM = 0xFE
_SEGMENT_START = re.compile(rb"\xff++(.)(..)", re.DOTALL)
"""Marker, with fill bytes before it, and length."""
_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SOS = 0xDA
_MAX_SEGMENTS = 256
"""Before the first scan. They are walked on the event loop; browsers and cameras write about ten."""
_MAX_SCANS = 16
"""Each goes over the whole picture, however few bytes it has. Browsers write one, progressive ones ten."""
_CAPTURE_TIME = re.compile(rb"capture_time_ms=(\d{1,16}(?:\.\d{1,9})?)")


class JpegError(ValueError):
    """The bytes are not a JPEG picture that is taken here; the message says why."""


@dataclass(frozen=True, slots=True)
class JpegFrame:
    """A complete JPEG picture, not decoded yet. Size in pixels.

    ``capture_time_ms`` (Unix time in the sender's clock) comes from a comment segment with the text
    ``capture_time_ms=<number>``, the only place in a JPEG file where a browser can put it easily.
    """

    data: bytes
    width: int
    height: int
    capture_time_ms: float | None


def parse_jpeg(data: bytes) -> JpegFrame:
    """Walks the segments up to the first scan (ITU-T T.81, B.1.1) without decoding; raises `JpegError`."""
    if not data.startswith(_SOI):
        raise JpegError("not a JPEG picture")
    if not data.rstrip(b"\0").endswith(_EOI):
        raise JpegError("the JPEG picture is cut off")
    size: tuple[int, int] | None = None
    capture_time_ms = None
    position = 2
    for _ in range(_MAX_SEGMENTS):
        marker, segment, position = _next_segment(data, position)
        if marker in _SOF:
            size = _size(segment)
        elif marker == _COM and (found := _CAPTURE_TIME.fullmatch(segment)):
            capture_time_ms = float(found[1])
        elif marker == _SOS:
            break
    else:
        raise JpegError(f"the JPEG picture has more than {_MAX_SEGMENTS} segments before its first scan")
    if size is None:
        raise JpegError("the JPEG picture has no frame header")
    if data.count(bytes((0xFF, _SOS)), position) >= _MAX_SCANS:
        raise JpegError(f"the JPEG picture has more than {_MAX_SCANS} scans")
    return JpegFrame(data, *size, capture_time_ms)


def with_capture_time(data: bytes, capture_time_ms: float) -> bytes:
    """The same picture with its capture time in a comment segment, as `parse_jpeg` reads it."""
    comment = b"capture_time_ms=%.3f" % capture_time_ms
    return _SOI + bytes((0xFF, _COM)) + (len(comment) + 2).to_bytes(2, "big") + comment + data[2:]


def _next_segment(data: bytes, position: int) -> tuple[int, bytes, int]:
    """Marker, content and the position after it."""
    if position + 4 > len(data):
        raise JpegError("the JPEG picture is cut off")
    start = _SEGMENT_START.match(data, position)
    if start is None:
        raise JpegError("the JPEG picture is damaged")
    length = int.from_bytes(start[2], "big")
    end = start.start(2) + length
    if length < 2 or end > len(data):
        raise JpegError("the JPEG picture is cut off")
    return start[1][0], data[start.end() : end], end


def _size(segment: bytes) -> tuple[int, int]:
    height, width = int.from_bytes(segment[1:3], "big"), int.from_bytes(segment[3:5], "big")
    if not (0 < width <= _MAX_SIDE and 0 < height <= _MAX_SIDE):
        raise JpegError(f"the JPEG picture is {width}×{height}; sides of 1 to {_MAX_SIDE} pixels are taken")
    return width, height
