"""One example of every message, as ``docs/protocol.md`` shows it, and a session as their sequence."""

from __future__ import annotations

from msgspec import Struct

from signaling.findings import FrameInfo, WireDetection, WireMotion, WirePose, WireSegment, WireText
from signaling.messages import (
    MAX_JPEG_BYTES,
    MAX_TEXT_BYTES,
    PROTOCOL_VERSION,
    Answer,
    Bye,
    Candidate,
    Closing,
    Configure,
    EndReason,
    Error,
    ErrorCode,
    Hello,
    IceCandidate,
    IceServer,
    Limits,
    OcrEvent,
    Offer,
    Ping,
    Pong,
    Rate,
    Report,
    Result,
    ServerState,
    StateEvent,
    Trigger,
    Watching,
    Welcome,
)
from signaling.pipeline_config import Model, PipelineConfig

_NOW_MS = 1_764_554_400_000.0
_LIMITS = Limits(MAX_TEXT_BYTES, MAX_JPEG_BYTES, liveness_timeout_s=3.0, resume_window_s=30.0)
_MODELS = {
    "detect": Model("nanodet_g", ["person", "bicycle", "stop sign"], kinds=3, licence="Apache-2.0"),
    "pose": Model("movenet_multipose", ["person"], kinds=1, licence="Apache-2.0"),
    "segment": Model("yard_segmenter", ["person", "dog"], kinds=2),
    "ocr": Model("ch_PP-OCRv4_det + ch_PP-OCRv4_rec", [], licence="Apache-2.0"),
    "flow": Model("Farneback", []),
}
_READ = FrameInfo(5_400, 60.0, _NOW_MS, 640, 480)
_FRAME = FrameInfo(59_400, 660.0, _NOW_MS + 600.0, 640, 480)
_TEXT = WireText("EXIT", 0.981, ((0.61, 0.2), (0.74, 0.2), (0.74, 0.27), (0.61, 0.27)), id=1)
_BOX = (0.1812, 0.2208, 0.2406, 0.6833)
_KEYPOINTS = [(round(0.2 + 0.01 * number, 4), round(0.25 + 0.04 * number, 4), 0.9) for number in range(17)]
_CANDIDATE = IceCandidate("candidate:1 1 udp 2122260223 192.0.2.7 51472 typ host", sdp_mid="0")

EXAMPLES: tuple[Struct, ...] = (
    Hello(
        token="eyJhbGciOi…",
        pipeline=PipelineConfig(segment=True, ocr=True, flow=True, ocr_labels=["stop sign"]),
    ),
    Offer("v=0\r\no=- 4962303333179871722 1 IN IP4 0.0.0.0\r\n…", camera_framerate=30.0),
    Candidate(_CANDIDATE),
    Configure(PipelineConfig(detect_threshold=0.5)),
    Trigger(),
    Ping(id=7, clock_offset_ms=-12.5),
    Report(render_fps=59.9, result_age_ms=84.0),
    Bye(),
    Welcome(
        protocol=PROTOCOL_VERSION,
        session="fGx0bW9kLTEy",
        resume_token="kUuR7xVqkqS0m1Jt0hWm3Yc2dPpZ5n9A",
        resumed=False,
        ice_servers=[IceServer(["turn:turn.example.org:3478"], "1764558000:fGx0bW9kLTEy", "hZ3nYw=")],
        limits=_LIMITS,
        models=_MODELS,
        engine="embedded",
        node="gpu-1",
    ),
    Watching(PROTOCOL_VERSION, _LIMITS, _MODELS, engine="embedded"),
    Answer("v=0\r\no=- 4005081061 4005081061 IN IP4 0.0.0.0\r\n…"),
    Result(
        seq=19,
        frame=_FRAME,
        detections=[WireDetection(1, "person", 0.874, _BOX, (0.0312, -0.0021))],
        poses=[WirePose(1, 0.912, _BOX, _KEYPOINTS)],
        texts=[_TEXT],
        motion=WireMotion(-0.0124, 0.0003, 0.0124),
        timing_ms={"wait": 1.2, "prepare": 0.6, "flow": 1.9, "detect": 11.4, "pose": 18.2, "total": 22.7},
        dropped={"sink": 2, "receive": 0, "stale": 0, "send": 1},
        segments=[WireSegment(1, "person", 0.874, _BOX, [(0.19, 0.9), (0.3, 0.22), (0.41, 0.9)])],
        texts_frame=_READ,
        followed_texts=[_TEXT],
    ),
    OcrEvent(_READ, [_TEXT], id=1),
    StateEvent(ServerState.READY, degraded=["flow", "ocr"]),
    Rate(max_framerate=22.5, max_bitrate=829_440, scale_resolution_down_by=1.0),
    Pong(id=7, server_time_ms=_NOW_MS),
    Error(ErrorCode.BAD_CANDIDATE, "a candidate has sdpMid or sdpMLineIndex", fatal=False),
    Closing(EndReason.BYE, retry_after_s=None),
)
"""Of each kind one."""

SESSION: tuple[type[Struct], ...] = (
    *(Hello, Welcome, Offer, Answer, Candidate, Result, Rate, Ping, Pong),
    *(Configure, Trigger, OcrEvent, Report, Bye, Closing),
)
"""A session from its begin to its end: kinds of `EXAMPLES`, in the order on the wire."""


def example_of(kind: type[Struct]) -> Struct:
    """That of ``kind``."""
    return next(example for example in EXAMPLES if type(example) is kind)
