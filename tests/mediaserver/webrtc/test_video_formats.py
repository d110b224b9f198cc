from __future__ import annotations

import time

import pytest

from mediaserver.webrtc.sdp_offer import Section, parse_offer
from mediaserver.webrtc.video_formats import taken_formats


def section(formats: str, *attributes: str) -> Section:
    lines = "".join(f"a={attribute}\r\n" for attribute in attributes)
    return parse_offer(f"v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF {formats}\r\n{lines}").sections[0]


def taken(formats: str, *attributes: str) -> list[tuple[str, int | None, dict[str, int | str | None]]]:
    codecs = taken_formats(section(formats, *attributes))
    return [(codec.mimeType, codec.payloadType, codec.parameters) for codec in codecs]


def test_codecs_come_in_the_order_of_the_offer_with_their_retransmissions() -> None:
    assert taken(
        "98 99 96 97 100 101",
        *("rtpmap:96 vp8/90000", "rtpmap:97 rtx/90000", "fmtp:97 apt=96;rtx-time=3000"),
        *("rtpmap:98 AV1/90000", "rtpmap:99 rtx/90000", "fmtp:99 apt=98", "rtpmap:101 red/90000"),
        *("rtpmap:100 H264/90000", "fmtp:100 profile-level-id=640c1f"),
    ) == [
        ("video/VP8", 96, {}),
        ("video/rtx", 97, {"apt": 96}),
        ("video/H264", 100, {"profile-level-id": "640c1f"}),
    ]


def test_h264_without_parameters_is_baseline_in_single_nal_units() -> None:
    assert taken("96", "rtpmap:96 H264/90000") == [("video/H264", 96, {})]


@pytest.mark.parametrize(
    "profile", ["42e01f", "42001f", "4d0032", "58e01f", "640C34", "6e001f", "7a001f", "f4001f"]
)
def test_profiles_that_ffmpeg_decodes(profile: str) -> None:
    parameters = f"fmtp:96 packetization-mode=1;profile-level-id={profile}"
    [(_, _, answered)] = taken("96", "rtpmap:96 H264/90000", parameters)
    assert answered == {"packetization-mode": "1", "profile-level-id": profile}


@pytest.mark.parametrize(
    ("formats", "attributes"),
    [
        ("96", ()),
        ("96", ("rtpmap:96 VP8/8000",)),
        ("96", ("rtpmap:96 VP8",)),
        ("72", ("rtpmap:72 VP8/90000",)),
        ("34", ("rtpmap:34 VP8/90000",)),
        ("128", ("rtpmap:128 VP8/90000",)),
        ("096", ("rtpmap:096 VP8/90000",)),
        ("97", ("rtpmap:97 rtx/90000", "fmtp:97 apt=97")),
        ("97", ("rtpmap:97 rtx/90000", "fmtp:97 apt=96")),
        ("96", ("rtpmap:96 H264/90000", "fmtp:96 packetization-mode=2")),
        ("96", ("rtpmap:96 H264/90000", "fmtp:96 profile-level-id=2c001f0")),
    ],
)
def test_what_is_not_taken(formats: str, attributes: tuple[str, ...]) -> None:
    assert taken(formats, *attributes) == []


def test_feedback_is_what_both_sides_know() -> None:
    [codec] = taken_formats(
        section("96", "rtpmap:96 VP8/90000", "rtcp-fb:96 nack", "rtcp-fb:* nack pli", "rtcp-fb:96 ccm fir")
    )
    assert [(feedback.type, feedback.parameter) for feedback in codec.rtcpFeedback] == [
        ("nack", None),
        ("nack", "pli"),
    ]


def test_many_payload_types_take_little_time() -> None:
    offered = section(" ".join(map(str, range(8000))), *(f"fmtp:96 x{number}=1" for number in range(256)))
    began = time.process_time()
    taken_formats(offered)
    assert time.process_time() - began < 0.1
