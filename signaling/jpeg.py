"""JPEG frames on the WebSocket as bytes: what they are, and what they cost to decode, without decoding them.

A picture is walked segment by segment, from its first marker to its last (ITU-T T.81, annex B).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import numpy as np

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
_EXIF, _ADOBE, _COMMENT = 0xE1, 0xEE, 0xFE
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
_RESTART_MARKERS = range(0xD0, 0xD8)
_PIECE = 32 * 1024
"""Bytes of a scan that are looked at in one go: a short one costs no more."""
_EXIF_HEADER = b"Exif\x00\x00"
_BYTE_ORDER = {b"II*\x00": "<", b"MM\x00*": ">"}
"""Of a TIFF header, as `struct` has it."""
_ORIENTATION, _SHORT = 0x0112, 3
_MAX_EXIF_FIELDS = 64
"""Of which the orientation is one. Phones write about fifteen."""
_TIME = re.compile(rb"(capture_time_ms|pts_ms)=(\d{1,16}(?:\.\d{1,9})?)")


class JpegError(ValueError):
    """The bytes are not a JPEG picture that is taken here; the message says why."""


class Orientation(IntEnum):
    """How to turn a picture, clockwise, from as it is coded to as it is shown (EXIF 2.3, 4.6.4 A)."""

    AS_CODED = 1
    MIRRORED = 2
    TURNED_180 = 3
    MIRRORED_TURNED_180 = 4
    MIRRORED_TURNED_270 = 5
    TURNED_90 = 6
    MIRRORED_TURNED_90 = 7
    TURNED_270 = 8

    @property
    def is_sideways(self) -> bool:
        """Whether what is coded as the width is shown as the height."""
        return self >= Orientation.MIRRORED_TURNED_270


@dataclass(frozen=True, slots=True)
class JpegFrame:
    """A complete JPEG picture, not decoded yet. Size in pixels, as it is shown: what ``data`` codes is to be
    turned by ``orientation``.

    ``data`` holds what a decoder needs, and no metadata. ``capture_time_ms`` (Unix time in the sender's
    clock) comes from a comment segment with the text ``capture_time_ms=<number>``. A browser can easily add
    one. So does ``pts_ms``, the media time of a recorded picture.
    """

    data: bytes
    width: int
    height: int
    capture_time_ms: float | None
    orientation: Orientation = Orientation.AS_CODED
    pts_ms: float | None = None


def parse_jpeg(data: bytes) -> JpegFrame:
    """Takes 8-bit Huffman-coded pictures, sequential or progressive, grey or with three components.

    Nothing is decoded, and the time that this takes grows with the bytes only. Of the metadata (EXIF,
    profiles, thumbnails) the orientation is read. Other metadata, and bytes behind the picture, are left
    out: reading them could cost a decoder more than the picture. Raises `JpegError`, also for a picture that
    costs too much to decode.
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
    width, height, times, orientation = picture.width, picture.height, picture.times, picture.orientation
    if orientation.is_sideways:
        width, height = height, width
    capture_time_ms, pts_ms = times.get(b"capture_time_ms"), times.get(b"pts_ms")
    return JpegFrame(b"".join(needed), width, height, capture_time_ms, orientation, pts_ms)


def with_capture_time(data: bytes, capture_time_ms: float) -> bytes:
    """The same picture with its capture time in a comment segment, as `parse_jpeg` reads it."""
    return _with_comment(data, b"capture_time_ms=%.3f" % capture_time_ms)


def with_pts(data: bytes, pts_ms: float) -> bytes:
    """The same picture with its media time in a comment segment, as `parse_jpeg` reads it."""
    return _with_comment(data, b"pts_ms=%.3f" % pts_ms)


def _with_comment(data: bytes, comment: bytes) -> bytes:
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
            position = _end_of_scan(data, position)
        yield _Segment(marker, content, start, position)
    raise JpegError(f"the JPEG picture has more than {_MAX_SEGMENTS} segments")


def _end_of_scan(data: bytes, position: int) -> int:
    """Where the next marker is that does not belong to the coded data. In coded data FF is followed by 00, or
    begins a restart marker. A regular expression would take 70 ns for each FF, and a picture may consist of
    these."""
    coded = np.frombuffer(data, np.uint8)
    for start in range(position, len(data) - 1, _PIECE):
        piece, following = coded[start : start + _PIECE], coded[start + 1 : start + _PIECE + 1]
        following_ff = np.flatnonzero(piece[: len(following)] == 0xFF)
        kinds = following[following_ff]
        ends = following_ff[(kinds != 0) & ((kinds < _RESTART_MARKERS[0]) | (kinds > _RESTART_MARKERS[-1]))]
        if ends.size:
            return start + int(ends[0])
    raise _cut_off()


class _Picture:
    """What the segments say of the picture, and what it costs."""

    def __init__(self) -> None:
        self.width = self.height = 0
        self.scans = 0
        self.times: dict[bytes, float] = {}
        """By their names in comment segments."""
        self._orientation: Orientation | None = None
        self._blocks_of: dict[int, int] = {}
        """By component."""
        self._blocks = 0
        self._huffman_tables = 0

    @property
    def orientation(self) -> Orientation:
        """As coded, where EXIF does not say it."""
        return self._orientation or Orientation.AS_CODED

    def take(self, segment: _Segment) -> bool:
        """Whether a decoder needs the segment. Raises `JpegError`."""
        marker, content = segment.marker, segment.content
        if marker in (_BASELINE, _EXTENDED, _PROGRESSIVE):
            self._take_frame_header(content, progressive=marker == _PROGRESSIVE)
        elif marker == _SCAN:
            self._take_scan(content)
        elif marker == _HUFFMAN:
            self._take_huffman_tables(content)
        elif marker == _COMMENT or marker in _APPLICATION:
            return self._take_metadata(marker, content)
        elif marker in _NOT_TAKEN:
            raise JpegError(f"the JPEG picture is {_NOT_TAKEN[marker]}; that is not taken")
        elif marker not in (_QUANTIZATION, _RESTART_INTERVAL):
            raise _damaged()
        return True

    def _take_metadata(self, marker: int, content: bytes) -> bool:
        """Whether a decoder needs it."""
        if marker == _COMMENT:
            if found := _TIME.fullmatch(content):
                self.times[found[1]] = float(found[2])
        elif marker == _EXIF and self._orientation is None and content.startswith(_EXIF_HEADER):
            self._orientation = _orientation(content[len(_EXIF_HEADER) :])
        # Adobe's says whether the components are colours or brightness and colour differences.
        return marker == _ADOBE and content.startswith(b"Adobe") and len(content) == 12

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


def _orientation(tiff: bytes) -> Orientation:
    """From the first directory of a TIFF file, which EXIF is. As coded where it does not say it."""
    order = _BYTE_ORDER.get(tiff[:4])
    if order is None or len(tiff) < 8:
        return Orientation.AS_CODED
    (directory,) = struct.unpack_from(f"{order}I", tiff, 4)
    if directory + 2 > len(tiff):
        return Orientation.AS_CODED
    (count,) = struct.unpack_from(f"{order}H", tiff, directory)
    fields = tiff[directory + 2 : directory + 2 + 12 * min(count, _MAX_EXIF_FIELDS)]
    for at in range(0, len(fields) - 11, 12):
        tag, kind, length, value = struct.unpack_from(f"{order}HHIH", fields, at)
        if tag == _ORIENTATION:
            known = kind == _SHORT and length == 1 and 1 <= value <= len(Orientation)
            return Orientation(value) if known else Orientation.AS_CODED
    return Orientation.AS_CODED


def _cut_off() -> JpegError:
    return JpegError("the JPEG picture is cut off")


def _damaged() -> JpegError:
    return JpegError("the JPEG picture is damaged")
