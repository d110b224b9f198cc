"""Converts results of the pipeline to messages."""

from __future__ import annotations

import msgspec
from msgspec import UNSET

from inference.types import FrameIdentity, PipelineResult, Text
from signaling.findings import FrameInfo, WireText
from signaling.messages import Result

_FOUND = {
    field.name: field.type
    for field in msgspec.structs.fields(Result)
    if field.name not in ("seq", "frame", "texts_frame", "followed_texts", "timing_ms", "dropped")
}
"""The fields of `Result` that `PipelineResult` has too, with their wire form."""


def package(
    seq: int,
    identity: FrameIdentity,
    result: PipelineResult,
    timing_ms: dict[str, float],
    dropped: dict[str, int],
) -> Result:
    """Makes the ``result`` message. Fields of the same name are converted as they are."""
    return Result(
        seq=seq,
        frame=frame_info(identity),
        texts_frame=None if result.texts_frame is None else frame_info(result.texts_frame),
        followed_texts=UNSET if result.followed_texts is None else texts_on_wire(result.followed_texts),
        timing_ms={stage: round(spent, 2) for stage, spent in timing_ms.items()},
        dropped=dict(dropped),
        **{
            name: msgspec.convert(getattr(result, name), kind, from_attributes=True)
            for name, kind in _FOUND.items()
        },
    )


def frame_info(identity: FrameIdentity) -> FrameInfo:
    """Returns the wire form of a frame's identity."""
    capture_time_ms = identity.capture_time_ms
    return FrameInfo(
        rtp_timestamp=identity.rtp_timestamp,
        pts_ms=round(identity.pts_ms, 1),
        capture_time_ms=None if capture_time_ms is None else round(capture_time_ms, 1),
        width=identity.width,
        height=identity.height,
        capture_time_estimated=identity.capture_time_estimated,
    )


def texts_on_wire(texts: tuple[Text, ...]) -> list[WireText]:
    """Returns the wire form of texts."""
    return msgspec.convert(texts, list[WireText], from_attributes=True)
