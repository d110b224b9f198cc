"""From what the pipeline found to what goes over the wire."""

from __future__ import annotations

from inference.types import Detection, FrameIdentity, Motion, PipelineResult, Pose, Text
from signaling.messages import (
    FrameInfo,
    Result,
    WireDetection,
    WireMotion,
    WirePose,
    WireText,
)


def package(
    seq: int,
    identity: FrameIdentity,
    result: PipelineResult,
    timing_ms: dict[str, float],
    dropped: dict[str, int],
) -> Result:
    """The ``result`` message. Coordinates are rounded to 1/10000 of the frame, well under a pixel."""
    return Result(
        seq=seq,
        frame=frame_info(identity),
        detections=None if result.detections is None else [_detection(item) for item in result.detections],
        poses=None if result.poses is None else [_pose(item) for item in result.poses],
        texts=None if result.texts is None else texts_on_wire(result.texts),
        motion=None if result.motion is None else _motion(result.motion),
        timing_ms={stage: round(spent, 2) for stage, spent in timing_ms.items()},
        dropped=dict(dropped),
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
    return [
        WireText(
            text=item.text,
            score=round(item.score, 3),
            quad=tuple((round(x, 4), round(y, 4)) for x, y in item.quad),  # type: ignore[arg-type]
        )
        for item in texts
    ]


def _detection(item: Detection) -> WireDetection:
    velocity = None if item.velocity is None else (round(item.velocity[0], 4), round(item.velocity[1], 4))
    return WireDetection(
        id=item.track_id, label=item.label, score=round(item.score, 3), box=_box(item.box), velocity=velocity
    )


def _pose(item: Pose) -> WirePose:
    return WirePose(
        id=item.track_id,
        score=round(item.score, 3),
        box=_box(item.box),
        keypoints=[(round(x, 4), round(y, 4), round(score, 2)) for x, y, score in item.keypoints],
    )


def _box(box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    x, y, width, height = box
    return round(x, 4), round(y, 4), round(width, 4), round(height, 4)


def _motion(item: Motion) -> WireMotion:
    return WireMotion(dx=round(item.dx, 4), dy=round(item.dy, 4), magnitude=round(item.magnitude, 4))
