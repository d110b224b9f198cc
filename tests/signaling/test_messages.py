from __future__ import annotations

import json

import pytest

from signaling.codec import decode_client, decode_server, encode
from signaling.findings import FrameInfo, WireDetection, WireMotion, WirePose, WireSegment, WireText
from signaling.messages import (
    Candidate,
    ErrorCode,
    Hello,
    IceCandidate,
    OcrEvent,
    ProtocolError,
    Result,
    ResultChannel,
    ServerState,
    StateEvent,
)
from signaling.pipeline_config import PipelineConfig


def test_hello_needs_nothing_but_its_type() -> None:
    assert decode_client('{"type":"hello"}') == Hello(channel=ResultChannel.DATACHANNEL)


def test_unknown_fields_are_ignored() -> None:
    assert decode_client('{"type":"hello","colour":"red"}') == Hello()


def test_candidates_are_spelled_as_browsers_spell_them() -> None:
    line = "candidate:1 1 udp 1 10.0.0.1 9 typ host"
    text = json.dumps({"type": "candidate", "candidate": {"candidate": line, "sdpMid": "0"}})
    assert decode_client(text) == Candidate(IceCandidate(line, sdp_mid="0"))
    assert decode_client('{"type":"candidate","candidate":null}') == Candidate(None)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", ErrorCode.BAD_MESSAGE),
        ("hello", ErrorCode.BAD_MESSAGE),
        ("[]", ErrorCode.BAD_MESSAGE),
        ("{}", ErrorCode.BAD_MESSAGE),
        ('{"type":5}', ErrorCode.BAD_MESSAGE),
        ('{"type":"dance"}', ErrorCode.UNKNOWN_TYPE),
        ('{"type":"offer"}', ErrorCode.BAD_MESSAGE),
        ('{"type":"offer","sdp":7}', ErrorCode.BAD_MESSAGE),
        ('{"type":"configure","pipeline":{"detect":"yes"}}', ErrorCode.BAD_MESSAGE),
        ('{"type":"configure","pipeline":{"detect_threshold":1.5}}', ErrorCode.BAD_MESSAGE),
        ('{"type":"hello","channel":"pigeon"}', ErrorCode.BAD_MESSAGE),
        ('{"type":"trigger","model":"detect"}', ErrorCode.BAD_MESSAGE),
        ("[" * 50_000, ErrorCode.BAD_MESSAGE),
    ],
)
def test_what_cannot_be_understood_is_refused_with_words(text: str, code: ErrorCode) -> None:
    with pytest.raises(ProtocolError) as refused:
        decode_client(text)
    assert refused.value.code is code
    assert refused.value.message


def test_text_that_is_not_unicode_is_refused() -> None:
    with pytest.raises(ProtocolError):
        decode_client(b'{"type":"hello","token":"\xff\xfe"}')


def test_configure_says_only_what_changes() -> None:
    assert json.loads(encode(Hello(pipeline=PipelineConfig(ocr=True)))) == {
        "type": "hello",
        "pipeline": {"ocr": True},
    }


def test_the_result_message_is_the_published_one() -> None:
    published = {
        "type": "result",
        "seq": 12,
        "frame": {
            "rtp_timestamp": 2712345678,
            "pts_ms": 4033.3,
            "capture_time_ms": 1795441737965.6,
            "width": 640,
            "height": 480,
        },
        "detections": [
            {"id": 3, "label": "person", "score": 0.91, "box": [0.1, 0.2, 0.3, 0.5], "velocity": [0.02, 0.0]}
        ],
        "poses": [{"id": 3, "score": 0.88, "box": [0.1, 0.2, 0.3, 0.5], "keypoints": [[0.2, 0.3, 0.9]]}],
        "texts": [{"text": "EXIT", "score": 0.97, "quad": [[0.1, 0.1], [0.3, 0.1], [0.3, 0.2], [0.1, 0.2]]}],
        "motion": {"dx": 0.01, "dy": 0.0, "magnitude": 0.02},
        "timing_ms": {"wait": 1.2, "prepare": 0.6, "detect": 11.0, "pose": 12.1, "total": 13.4},
        "dropped": {"sink": 41, "stale": 0},
        "segments": [
            {
                "id": 3,
                "label": "person",
                "score": 0.87,
                "box": [0.1, 0.2, 0.3, 0.5],
                "polygon": [[0.1, 0.2], [0.4, 0.2], [0.25, 0.7]],
            }
        ],
        "texts_frame": {
            "rtp_timestamp": 2712255678,
            "pts_ms": 3033.3,
            "capture_time_ms": 1795441736965.6,
            "width": 640,
            "height": 480,
        },
    }
    result = Result(
        seq=12,
        frame=FrameInfo(2712345678, 4033.3, 1795441737965.6, 640, 480),
        detections=[WireDetection(3, "person", 0.91, (0.1, 0.2, 0.3, 0.5), (0.02, 0.0))],
        poses=[WirePose(3, 0.88, (0.1, 0.2, 0.3, 0.5), [(0.2, 0.3, 0.9)])],
        texts=[WireText("EXIT", 0.97, ((0.1, 0.1), (0.3, 0.1), (0.3, 0.2), (0.1, 0.2)))],
        motion=WireMotion(0.01, 0.0, 0.02),
        timing_ms={"wait": 1.2, "prepare": 0.6, "detect": 11.0, "pose": 12.1, "total": 13.4},
        dropped={"sink": 41, "stale": 0},
        segments=[
            WireSegment(3, "person", 0.87, (0.1, 0.2, 0.3, 0.5), [(0.1, 0.2), (0.4, 0.2), (0.25, 0.7)])
        ],
        texts_frame=FrameInfo(2712255678, 3033.3, 1795441736965.6, 640, 480),
    )
    assert json.loads(encode(result)) == published
    assert decode_server(json.dumps(published)) == result


def test_events_are_told_apart_by_their_event() -> None:
    named = {"rtp_timestamp": None, "pts_ms": 0.0, "capture_time_ms": None, "width": 320, "height": 240}
    frame = FrameInfo(None, 0.0, None, 320, 240)
    for event, published in (
        (OcrEvent(frame, []), {"type": "event", "event": "ocr", "frame": named, "texts": [], "id": 0}),
        (StateEvent(ServerState.DEGRADED), {"type": "event", "event": "state", "state": "degraded"}),
    ):
        assert json.loads(encode(event)) == published
        assert decode_server(json.dumps(published)) == event


@pytest.mark.parametrize(
    "text", ['{"type":"event"}', '{"type":"event","event":"dance"}', '{"type":"event","event":"state"}']
)
def test_an_event_that_is_not_known_is_refused(text: str) -> None:
    with pytest.raises(ProtocolError):
        decode_server(text)


def test_stages_that_did_not_run_are_null_on_the_wire() -> None:
    bare = Result(1, FrameInfo(None, 0.0, None, 320, 240), None, None, None, None, {}, {})
    sent = json.loads(encode(bare))
    assert [sent[name] for name in ("detections", "poses", "segments", "texts", "motion")] == [None] * 5
