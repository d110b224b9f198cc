"""The video codecs that are taken: their names, and what their RTP payloads say of a frame."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Literal, TypeAlias

FfmpegDecoder: TypeAlias = Literal["vp8", "h264"]


class VideoCodec(StrEnum):
    """Codecs that can be assembled and decoded; the values are the names in SDP."""

    VP8 = "VP8"
    H264 = "H264"


FFMPEG_DECODERS: dict[VideoCodec, FfmpegDecoder] = {VideoCodec.VP8: "vp8", VideoCodec.H264: "h264"}
"""FFmpeg's own. libvpx takes a little longer, and would decode a picture before FFmpeg sees its size."""


def inspect_payload(codec: VideoCodec, payload: bytes, data: bytes) -> tuple[bool, bool]:
    """Tells ``(begins_frame, keyframe)`` of an RTP payload: ``payload`` as on the wire, ``data`` without the
    payload header. ``begins_frame``: certainly its frame's first; ``keyframe``: of a keyframe's start."""
    if not data:
        return False, False
    if codec is VideoCodec.VP8:
        # RFC 7741 section 4.2: S set and PID 0 in the descriptor; section 4.3: P clear is a keyframe.
        begins = payload[0] & 0x17 == 0x10
        return begins, begins and not data[0] & 0x01
    kinds = set(_nal_unit_types(payload))
    # 9 is an access unit delimiter, 7 a sequence parameter set, 5 a slice of an IDR picture.
    return bool(kinds & {9, 7}), bool(kinds & {7, 5})


def _nal_unit_types(payload: bytes) -> Iterator[int]:
    """Types of the NAL units that begin in an H.264 payload (RFC 6184 sections 5.6 to 5.8)."""
    kind = payload[0] & 0x1F
    if kind == 28:  # FU-A: only its first fragment begins a unit
        if len(payload) > 1 and payload[1] & 0x80:
            yield payload[1] & 0x1F
    elif kind == 24:  # STAP-A: units, each behind its length in 16 bits
        position = 1
        while position + 2 < len(payload):
            yield payload[position + 2] & 0x1F
            position += 2 + int.from_bytes(payload[position : position + 2])
    else:
        yield kind
