"""EXIF as cameras write it into a JPEG picture."""

from __future__ import annotations

import struct


def exif(*fields: tuple[int, int, int, int], order: str = "<", directory: int = 8) -> bytes:
    """An EXIF segment with ``fields`` of tag, kind, count and a value of 16 bits, behind a maker's name."""
    maker = (0x010F, 2, 4, 0x414D)
    entries = b"".join(struct.pack(f"{order}HHIHxx", *field) for field in (maker, *fields))
    header = {"<": b"II*\x00", ">": b"MM\x00*"}[order] + struct.pack(f"{order}I", directory)
    padding = bytes(max(0, directory - 8))
    tiff = header + padding + struct.pack(f"{order}H", len(fields) + 1) + entries + bytes(4)
    content = b"Exif\x00\x00" + tiff
    return b"\xff\xe1" + (len(content) + 2).to_bytes(2, "big") + content


def with_orientation(jpeg: bytes, orientation: int, order: str = "<") -> bytes:
    """The same picture, to be turned so when it is shown."""
    return jpeg[:2] + exif((0x0112, 3, 1, orientation), order=order) + jpeg[2:]
