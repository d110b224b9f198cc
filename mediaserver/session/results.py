"""From what the pipeline found to what goes over the wire."""

from __future__ import annotations

import msgspec

from inference.types import FrameIdentity, PipelineResult, Text
from signaling.findings import WireText
from signaling.messages import FrameInfo, Result

_FOUND = {
    field.name: field.type
    for field in msgspec.structs.fields(Result)
    if field.name not in ("seq", "frame", "timing_ms", "dropped")
}
"""The fields of `Result` that `PipelineResult` has too, with their wire form."""


def package(
    seq: int,
    identity: FrameIdentity,
    result: PipelineResult,
    timing_ms: dict[str, float],
    dropped: dict[str, int],
) -> Result:
    """The ``result`` message: what was found goes over as it is, field by field."""
    return Result(
        seq=seq,
        frame=frame_info(identity),
        timing_ms={stage: round(spent, 2) for stage, spent in timing_ms.items()},
        dropped=dict(dropped),
        **{
            name: msgspec.convert(getattr(result, name), kind, from_attributes=True)
            for name, kind in _FOUND.items()
        },
    )


def frame_info(identity: FrameIdentity) -> FrameInfo:
    """The wire form of a frame's name."""
    capture_time_ms = identity.capture_time_ms
    return FrameInfo(
        rtp_timestamp=identity.rtp_timestamp,
        pts_ms=round(identity.pts_ms, 1),
        capture_time_ms=None if capture_time_ms is None else round(capture_time_ms, 1),
        width=identity.width,
        height=identity.height,
    )


def texts_on_wire(texts: tuple[Text, ...]) -> list[WireText]:
    """The wire form of an OCR run."""
    return msgspec.convert(texts, list[WireText], from_attributes=True)
