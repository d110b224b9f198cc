"""``docs/protocol.md`` and its schema are what the code says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from msgspec import Struct, StructMeta

from inference.heads.candidates import MAX_RESULTS
from inference.heads.segments import MAX_POINTS, MAX_SEGMENTS
from inference.ocr.text_tracks import MAX_FOLLOWED
from inference.ocr.trigger import LABEL_ABSENCE_S, SETTLE_S
from mediaserver.server.admission import RefusalReason
from mediaserver.server.http_answers import try_later
from mediaserver.session import conversation, dialogue, rate_control, service
from mediaserver.session.ending import END_RULES
from mediaserver.session.event_log import _KEPT
from mediaserver.session.greeting import HELLO_TIMEOUT_S
from mediaserver.settings.model import Settings
from mediaserver.webrtc import remote_candidates, sctp_policy
from mediaserver.webrtc.datagram_guard import MAX_SOURCES
from mediaserver.webrtc.peer import check_offer
from mediaserver.webrtc.video_formats import _H264_PROFILES
from signaling import findings, pipeline_config, websocket
from signaling.codec import decode_client, decode_server, encode
from signaling.codes import Drop, EndReason, ErrorCode
from signaling.findings import FrameInfo, WireDetection, WireMotion, WirePose, WireSegment, WireText
from signaling.messages import EXPECTED_HEADER, Limits, Result
from signaling.negotiation import Negotiation, State
from signaling.protocol_document import protocol_document
from signaling.protocol_examples import EXAMPLES, SESSION, example_of
from signaling.protocol_schema import CLIENT_MESSAGES, SERVER_MESSAGES, protocol_schema
from signaling.protocol_tables import ENDS, ERRORS

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "protocol.md").read_text()
SCHEMA: dict[str, Any] = json.loads((DOCS / "protocol.schema.json").read_text())
NAMES = [type(example).__name__ for example in EXAMPLES]


def on_page(words: str) -> bool:
    """Whether the page has these words, wherever its lines break."""
    return words in " ".join(PAGE.split())


def test_the_page_and_the_schema_are_what_the_message_types_say() -> None:
    assert protocol_document() == PAGE, "run `make docs`"
    assert protocol_schema() == SCHEMA, "run `make docs`"


@pytest.mark.parametrize("module", [findings, pipeline_config])
def test_everything_that_goes_over_the_wire_has_its_section(module: object) -> None:
    kinds = [kind for kind in vars(module).values() if isinstance(kind, StructMeta) and kind is not Struct]
    assert len(kinds) >= 2
    for kind in kinds:
        assert f"### {kind.__name__}\n" in PAGE


def test_every_message_has_one_example() -> None:
    assert sorted(NAMES) == sorted(kind.__name__ for kind in (*CLIENT_MESSAGES, *SERVER_MESSAGES))


@pytest.mark.parametrize("example", EXAMPLES, ids=NAMES)
def test_an_example_is_understood_and_has_each_field(example: Any) -> None:
    decode = decode_client if type(example) in CLIENT_MESSAGES else decode_server
    assert decode(encode(example)) == example
    assert f'"type": "{json.loads(encode(example))["type"]}"' in PAGE


def test_the_json_of_the_page_is_valid_by_the_schema() -> None:
    validator = jsonschema.Draft202012Validator(SCHEMA)
    validator.check_schema(SCHEMA)
    blocks = [json.loads(text) for text in re.findall(r"^```json\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)]
    lines = [json.loads(text) for text in re.findall(r"^[→←] (.*)$", PAGE, re.MULTILINE)]
    assert (len(blocks), len(lines)) == (len(EXAMPLES), len(SESSION))
    for message in (*blocks, *lines):
        validator.validate(message)


@pytest.mark.parametrize("message", [{}, {"type": "dance"}, {"type": "offer"}, {"type": "pong", "id": "x"}])
def test_the_schema_refuses_what_the_server_refuses(message: dict[str, Any]) -> None:
    assert not jsonschema.Draft202012Validator(SCHEMA).is_valid(message)


def test_references_of_the_schema_resolve() -> None:
    references = set(re.findall(r'"\$ref": ?"#/\$defs/(\w+)"', json.dumps(SCHEMA)))
    assert len(references) > 20
    assert references <= set(SCHEMA["$defs"])


def test_the_session_of_the_page_keeps_to_the_order() -> None:
    negotiation = Negotiation()
    for kind in SESSION:
        if kind in CLIENT_MESSAGES:
            negotiation.receive(example_of(kind))  # type: ignore[arg-type]
        if negotiation.state is State.ANSWERING:
            negotiation.answered()
    assert negotiation.state is State.CLOSED


def test_each_code_says_what_follows() -> None:
    assert list(ERRORS) == list(ErrorCode)
    assert list(ENDS) == list(EndReason)
    for reason, rule in END_RULES.items():
        resumable, retry_after_s, _ = ENDS[reason]
        assert resumable == ("yes" if rule.resumable else "no"), reason
        if reason is not EndReason.CLIENT_GONE:
            told = "null" if rule.retry_after_s is None else f"{rule.retry_after_s:g}"
            assert retry_after_s == told, reason


def test_the_refusal_of_the_page_is_what_the_server_answers() -> None:
    (block,) = re.findall(r"^```http\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    head, body = block.split("\n\n")
    answer = try_later("starting", 10, {}, expected_s=95)
    assert json.loads(body) == json.loads(answer.text or "")
    assert f"{EXPECTED_HEADER}: {answer.headers[EXPECTED_HEADER]}" in head
    assert f"Retry-After: {answer.headers['Retry-After']}" in head
    assert all(f"`{reason}`" in PAGE for reason in RefusalReason)


def test_the_largest_result_is_within_the_bound_of_the_page() -> None:
    box, score = (0.1812, 0.2208, 0.2406, 0.6833), 0.874
    text = WireText("W" * 30, score, ((0.6111, 0.2222),) * 4, id=1234)
    frame = FrameInfo(4_294_967_295, 86_400_000.1, 1_764_554_400_000.1, 4096, 4096, True)
    keypoints = [(-0.1812, 0.2208, score)] * 17
    result = Result(
        seq=2**40,
        frame=frame,
        detections=[WireDetection(99_999, "traffic light", score, box, (-0.0312, -0.0021))] * MAX_RESULTS,
        poses=[WirePose(99_999, score, box, keypoints)] * MAX_RESULTS,
        texts=[text] * 64,
        motion=WireMotion(-0.0124, -0.0003, 0.0124),
        timing_ms=dict.fromkeys(("wait", "prepare", "flow", "detect", "pose", "segment", "total"), 1234.56),
        dropped=dict.fromkeys(Drop, 99_999),
        segments=[WireSegment(99_999, "traffic light", score, box, [(0.1812, 0.2208)] * MAX_POINTS)]
        * MAX_SEGMENTS,
        texts_frame=frame,
        followed_texts=[text] * MAX_FOLLOWED,
    )
    assert len(encode(result).encode()) < 100_000
    assert on_page(f"| a detection | 110 | {MAX_RESULTS} | | a pose | 450 | {MAX_RESULTS} |")
    assert on_page(f"| a segment | 1100 | {MAX_SEGMENTS} | | a followed text | 100 | {MAX_FOLLOWED} |")
    assert on_page("none has more than 100 kB")


def test_the_offer_of_the_page_is_answered() -> None:
    (offer,) = re.findall(r"^```sdp\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    check_offer(offer)


def test_the_limits_of_the_page_are_those_of_the_code() -> None:
    settings = Settings()
    limits = Limits(0, 0, settings.liveness_timeout_s, settings.resume_window_s)
    assert (limits.no_media_timeout_s, limits.pause_timeout_s) == (
        settings.no_media_timeout_s,
        settings.pause_timeout_s,
    )
    for words in (
        f"{websocket._MESSAGES_PER_S:g} per second, {websocket._MESSAGE_BURST:g} at once",
        f"{websocket._BURST_S:g} s of them at once",
        f"After {websocket._EXCESS_BURST:g} dropped frames, and {websocket._EXCESS_PER_S:g} more per second",
        f"{websocket._MAX_UNREAD_S:g} s: results are dropped | {websocket._UNREAD_TIMEOUT_S:g} s",
        f"{conversation._ERRORS_PER_S:g} per second, {conversation._ERROR_BURST:g} at once",
        f"1 in {1 / service._OFFERS_PER_S:g} s, {service._OFFER_BURST:g} at once",
        f"{remote_candidates.MAX_CANDIDATES} addresses per peer connection; {remote_candidates._BURST:g} per",
        f"1 more in {1 / remote_candidates._PER_S:g} s",
        f"`hello` | {HELLO_TIMEOUT_S:g} s after",
        f"`no_media_timeout_s`, {settings.no_media_timeout_s:g} s by default",
        f"`liveness_timeout_s`, {settings.liveness_timeout_s:g} s by default",
        f"`limits.resume_window_s`, {settings.resume_window_s:g} s by default",
        f"the last {_KEPT} at most",
        f"absent for {LABEL_ABSENCE_S:g} s or more",
        f"changed little for {SETTLE_S:g} s",
        f"more than {settings.max_capture_age_ms / 1000:g} s ago (`max_capture_age_ms`)",
        f"{settings.max_frame_age_ms} ms (`max_frame_age_ms`)",
        f"{settings.max_result_age_ms / 1000:g} s (`max_result_age_ms`)",
        f"{rate_control._MIN_BITRATE} to {rate_control._MAX_BITRATE}",
        f"{rate_control._HEADROOM:g} times what is inferred, {rate_control._MIN_FRAMERATE:g} at least",
        f"about {dialogue._RATE_INTERVAL_S + rate_control._INTERVAL_S:g} s after the first results",
        f"{sctp_policy._MAX_UNNEEDED_BYTES} bytes over data channels, {sctp_policy._MAX_OPENED} data",
        f"or {MAX_SOURCES} RTP sources",
    ):
        assert on_page(words), words
    assert all(str(profile) in PAGE for profile in _H264_PROFILES)
