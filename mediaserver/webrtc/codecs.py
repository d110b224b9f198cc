"""The supported video codecs: their names, and frame boundaries in their RTP payloads."""

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
"""FFmpeg's native decoders. libvpx is a little slower, and decodes a picture before its size is checked."""


def inspect_payload(codec: VideoCodec, payload: bytes, data: bytes) -> tuple[bool, bool]:
    """Returns ``(begins_frame, keyframe)`` of an RTP payload.

    ``payload`` is as on the wire, ``data`` without the payload header. ``begins_frame`` is true if the packet
    is certainly the first of its frame. ``keyframe`` is true if it is part of a keyframe's start.
    """
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
    """Yields the types of NAL units that begin in an H.264 payload (RFC 6184 sections 5.6 to 5.8)."""
    kind = payload[0] & 0x1F
    if kind == 28:  # FU-A: only its first fragment begins a unit
        if len(payload) > 1 and payload[1] & 0x80:
            yield payload[1] & 0x1F
    elif kind == 24:  # STAP-A: units, each after its length in 16 bits
        position = 1
        while position + 2 < len(payload):
            yield payload[position + 2] & 0x1F
            position += 2 + int.from_bytes(payload[position : position + 2])
    else:
        yield kind
