"""JPEG frames on the WebSocket as bytes: what they are, and what they cost to decode, without decoding them.

A picture is walked segment by segment, from its first marker to its last (ITU-T T.81, annex B).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

MAX_SIDE = 4096
MAX_PROGRESSIVE_PIXELS = 1920 * 1080
"""A decoder keeps all coefficients of a progressive picture, at whatever scale it decodes."""

_MAX_SEGMENTS = 256
"""They are walked on the event loop. Browsers and cameras write about ten, and two more for each scan."""
_MAX_SCANS = 16
_MAX_BLOCKS = 3 * (MAX_SIDE // 8) ** 2
"""Blocks of 8×8 samples over all scans; the largest sequential picture has so many. A scan goes over each
block of its components, however few bytes it has."""
_MAX_HUFFMAN_TABLES = 64
"""A decoder builds a lookup table from each. A sequential picture has four, a progressive one about ten."""

_SOI, _EOI = b"\xff\xd8", b"\xff\xd9"
_END, _SCAN, _QUANTIZATION, _HUFFMAN, _RESTART_INTERVAL = 0xD9, 0xDA, 0xDB, 0xC4, 0xDD
_ADOBE, _COMMENT = 0xEE, 0xFE
_BASELINE, _EXTENDED, _PROGRESSIVE = 0xC0, 0xC1, 0xC2
_APPLICATION = range(0xE0, 0xF0)
_NOT_TAKEN = {
    **dict.fromkeys((0xC3, 0xF7), "lossless"),
    **dict.fromkeys((0xC5, 0xC6, 0xC7, 0xDE), "hierarchical"),
    **dict.fromkeys((0xC9, 0xCA, 0xCB, 0xCC, 0xCD, 0xCE, 0xCF), "coded arithmetically"),
}
"""Kinds of pictures that no browser or camera writes, by a marker that only these have."""

_MARKER = re.compile(rb"\xff++(.)", re.DOTALL)
"""With the fill bytes before it."""
_AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7]", re.DOTALL)
"""In coded data FF is followed by 00, or is a restart marker."""
_CAPTURE_TIME = re.compile(rb"capture_time_ms=(\d{1,16}(?:\.\d{1,9})?)")


class JpegError(ValueError):
    """The bytes are not a JPEG picture that is taken here; the message says why."""


@dataclass(frozen=True, slots=True)
class JpegFrame:
    """A complete JPEG picture, not decoded yet. Size in pixels.

    ``data`` holds what a decoder needs, and no metadata. ``capture_time_ms`` (Unix time in the sender's
    clock) comes from a comment segment with the text ``capture_time_ms=<number>``, the only place in a JPEG
    file where a browser can put it easily.
    """

    data: bytes
    width: int
    height: int
    capture_time_ms: float | None


def parse_jpeg(data: bytes) -> JpegFrame:
    """Takes 8-bit Huffman-coded pictures, sequential or progressive, grey or with three components.

    Nothing is decoded, and the time that this takes grows with the bytes only. Metadata (EXIF, profiles,
    thumbnails) and what follows the picture are left out: reading them could cost a decoder more than the
    picture does. Raises `JpegError`, also for a picture that costs too much to decode.
    """
    if not data.startswith(_SOI):
        raise JpegError("not a JPEG picture")
    picture = _Picture()
    needed: list[bytes | memoryview] = [_SOI]
    for segment in _segments(data):
        if picture.take(segment):
            needed.append(memoryview(data)[segment.start : segment.end])
    if picture.scans == 0:
        raise JpegError("the JPEG picture has no scan")
    needed.append(_EOI)
    return JpegFrame(b"".join(needed), picture.width, picture.height, picture.capture_time_ms)


def with_capture_time(data: bytes, capture_time_ms: float) -> bytes:
    """The same picture with its capture time in a comment segment, as `parse_jpeg` reads it."""
    comment = b"capture_time_ms=%.3f" % capture_time_ms
    return _SOI + bytes((0xFF, _COMMENT)) + (len(comment) + 2).to_bytes(2, "big") + comment + data[2:]


class _Segment(NamedTuple):
    """``content`` follows the marker and the length. ``start`` and ``end`` enclose all of it, in a scan also
    the coded data."""

    marker: int
    content: bytes
    start: int
    end: int


def _segments(data: bytes) -> Iterator[_Segment]:
    """What lies between the first marker and the end of the picture. Raises `JpegError`."""
    position = len(_SOI)
    for _ in range(_MAX_SEGMENTS):
        found = _MARKER.match(data, position)
        if found is None:
            raise _damaged() if position < len(data) else _cut_off()
        marker, start, after = found[1][0], found.end() - 2, found.end()
        if marker == _END:
            return
        length = int.from_bytes(data[after : after + 2], "big")
        position = after + length
        if length < 2 or position > len(data):
            raise _cut_off()
        content = data[after + 2 : position]
        if marker == _SCAN:
            end = _AFTER_SCAN.search(data, position)
            if end is None:
                raise _cut_off()
            position = end.start()
        yield _Segment(marker, content, start, position)
    raise JpegError(f"the JPEG picture has more than {_MAX_SEGMENTS} segments")


class _Picture:
    """What the segments say of the picture, and what it costs."""

    def __init__(self) -> None:
        self.width = self.height = 0
        self.scans = 0
        self.capture_time_ms: float | None = None
        self._blocks_of: dict[int, int] = {}
        """By component."""
        self._blocks = 0
        self._huffman_tables = 0

    def take(self, segment: _Segment) -> bool:
        """Whether a decoder needs the segment. Raises `JpegError`."""
        marker, content = segment.marker, segment.content
        if marker in (_BASELINE, _EXTENDED, _PROGRESSIVE):
            self._take_frame_header(content, progressive=marker == _PROGRESSIVE)
        elif marker == _SCAN:
            self._take_scan(content)
        elif marker == _HUFFMAN:
            self._take_huffman_tables(content)
        elif marker == _COMMENT:
            if found := _CAPTURE_TIME.fullmatch(content):
                self.capture_time_ms = float(found[1])
            return False
        elif marker in _APPLICATION:
            # Adobe's says whether the components are colours or brightness and colour differences.
            return marker == _ADOBE and content.startswith(b"Adobe") and len(content) == 12
        elif marker in _NOT_TAKEN:
            raise JpegError(f"the JPEG picture is {_NOT_TAKEN[marker]}; that is not taken")
        elif marker not in (_QUANTIZATION, _RESTART_INTERVAL):
            raise _damaged()
        return True

    def _take_frame_header(self, content: bytes, *, progressive: bool) -> None:
        """T.81, B.2.2."""
        if self._blocks_of or len(content) < 6 or len(content) != 6 + 3 * content[5]:
            raise _damaged()
        bits, count = content[0], content[5]
        height, width = int.from_bytes(content[1:3], "big"), int.from_bytes(content[3:5], "big")
        if bits != 8:
            raise JpegError(f"the JPEG picture has {bits} bits a sample; 8 are taken")
        if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
            raise JpegError(
                f"the JPEG picture is {width}×{height}; sides of 1 to {MAX_SIDE} pixels are taken"
            )
        if progressive and width * height > MAX_PROGRESSIVE_PIXELS:
            raise JpegError(
                f"the JPEG picture is progressive and {width}×{height}; "
                f"progressive ones of up to {MAX_PROGRESSIVE_PIXELS} pixels are taken"
            )
        if count not in (1, 3):
            raise JpegError(f"the JPEG picture has {count} components; 1 or 3 are taken")
        components = {content[at]: divmod(content[at + 1], 16) for at in range(6, len(content), 3)}
        across, down = zip(*components.values(), strict=True)
        if len(components) != count or not all(1 <= factor <= 4 for factor in (*across, *down)):
            raise _damaged()
        units = -(-width // (8 * max(across))) * -(-height // (8 * max(down)))
        self._blocks_of = {name: units * factors[0] * factors[1] for name, factors in components.items()}
        self.width, self.height = width, height

    def _take_scan(self, content: bytes) -> None:
        """T.81, B.2.3."""
        if not self._blocks_of:
            raise JpegError("the JPEG picture has no frame header")
        if not content or len(content) != 4 + 2 * content[0]:
            raise _damaged()
        self.scans += 1
        if self.scans > _MAX_SCANS:
            raise JpegError(f"the JPEG picture has more than {_MAX_SCANS} scans")
        for component in content[1:-3:2]:
            self._blocks += self._blocks_of.get(component, 0)
        if self._blocks > _MAX_BLOCKS:
            raise JpegError("the scans of the JPEG picture go over it too often for its size")

    def _take_huffman_tables(self, content: bytes) -> None:
        """T.81, B.2.4.2."""
        position = 0
        while position < len(content):
            self._huffman_tables += 1
            if self._huffman_tables > _MAX_HUFFMAN_TABLES:
                raise JpegError(f"the JPEG picture has more than {_MAX_HUFFMAN_TABLES} Huffman tables")
            position += 17 + sum(content[position + 1 : position + 17])


def _cut_off() -> JpegError:
    return JpegError("the JPEG picture is cut off")


def _damaged() -> JpegError:
    return JpegError("the JPEG picture is damaged")
