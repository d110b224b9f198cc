from __future__ import annotations

import pytest
from aiortc.sdp import SessionDescription

from mediaserver.webrtc.offer_answer import OfferAnswer
from signaling.messages import ErrorCode, IceCandidate, ProtocolError

FINGERPRINT = "a=fingerprint:sha-256 " + ":".join(["AB"] * 32)
CANDIDATE = "a=candidate:1 1 udp 2130706431 {host} 40000 typ host"


def section(kind: str, mid: str, *more: str, port: int = 9) -> str:
    rtp = kind in ("audio", "video")
    media = "UDP/TLS/RTP/SAVPF 96" if rtp else "UDP/DTLS/SCTP webrtc-datachannel"
    lines = [f"m={kind} {port} {media}", f"a=mid:{mid}", f"a=ice-ufrag:{mid}xxx", "a=ice-pwd:" + "p" * 22]
    lines += [FINGERPRINT, "a=setup:actpass", *more]
    lines += ["a=rtcp-mux", "a=rtpmap:96 VP8/90000"] if rtp else ["a=sctp-port:5000"]
    return "\r\n".join((*lines, ""))


CALL = (section("audio", "a"), section("video", "v"), section("application", "d"))


def offer(*sections: str, bundle: str = "") -> OfferAnswer:
    group = f"a=group:BUNDLE {bundle}\r\n" if bundle else ""
    return OfferAnswer(f"v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n{group}" + "".join(sections))


def seen_by_aiortc(negotiated: OfferAnswer) -> SessionDescription:
    return SessionDescription.parse(negotiated.offer_of_taken(lambda host, port: not host.endswith(".local")))


def test_aiortc_sees_what_is_taken_on_the_transport_of_its_group() -> None:
    seen = seen_by_aiortc(offer(*CALL, bundle="a v d"))
    assert [(media.kind, media.rtp.muxId) for media in seen.media] == [("video", "1"), ("application", "2")]
    assert [media.ice.usernameFragment for media in seen.media] == ["axxx", "axxx"]
    assert [group.items for group in seen.group] == [["1", "2"]]


def test_without_a_group_each_has_its_own_transport() -> None:
    seen = seen_by_aiortc(offer(*CALL))
    assert [media.ice.usernameFragment for media in seen.media] == ["vxxx", "dxxx"]
    assert seen.group == []


def test_two_groups_are_two_transports() -> None:
    seen = seen_by_aiortc(offer(*CALL, bundle="a v\r\na=group:BUNDLE d"))
    assert [media.ice.usernameFragment for media in seen.media] == ["axxx", "dxxx"]


@pytest.mark.parametrize(
    ("hosts", "kept", "complete"),
    [
        (["192.0.2.1", "192.0.2.2"], 2, True),
        (["192.0.2.1", "x.local"], 1, False),
        (["x.local"], 0, False),
        ([], 0, False),
    ],
)
def test_the_end_of_candidates_is_told_where_all_of_them_were(
    hosts: list[str], kept: int, complete: bool
) -> None:
    lines = [*(CANDIDATE.format(host=host) for host in hosts), "a=end-of-candidates"]
    [video] = seen_by_aiortc(offer(section("video", "v", *lines))).media
    assert (len(video.ice_candidates), video.ice_candidates_complete) == (kept, complete)


@pytest.mark.parametrize(
    ("bundle", "mid", "index", "name"),
    [
        ("a v d", "a", None, "1"),
        ("a v d", None, 0, "1"),
        ("a v d", "v", None, None),
        ("a v d", None, 1, None),
        ("", "v", None, "1"),
        ("", "d", None, "2"),
        ("", "a", None, None),
        ("", None, 2, "2"),
        ("", "", 2, "2"),
        ("", "v", 2, "1"),
        ("", "gone", 1, None),
        ("", None, 7, None),
        ("a d", "a", 0, "2"),
    ],
)
def test_a_candidate_is_for_who_uses_the_transport_that_it_names(
    bundle: str, mid: str | None, index: int | None, name: str | None
) -> None:
    negotiated = offer(*CALL, bundle=bundle)
    assert negotiated.name_for(IceCandidate("", sdp_mid=mid, sdp_m_line_index=index)) == name


def test_the_first_video_in_a_codec_that_is_taken_is_received() -> None:
    other = section("video", "v").replace("VP8", "AV1")
    seen = seen_by_aiortc(offer(other, section("video", "w", "a=recvonly"), section("video", "x")))
    assert [media.rtp.muxId for media in seen.media] == ["2"]


@pytest.mark.parametrize(
    ("sections", "code"),
    [
        ((section("audio", "a"),), ErrorCode.NO_VIDEO),
        ((section("video", "v", port=0),), ErrorCode.NO_VIDEO),
        ((section("video", "v", "a=recvonly"),), ErrorCode.NO_VIDEO),
        ((section("video", "v", "a=inactive"),), ErrorCode.NO_VIDEO),
        ((section("video", "v").replace("VP8", "AV1"),), ErrorCode.UNSUPPORTED_CODEC),
    ],
)
def test_an_offer_without_video_for_us_is_refused(sections: tuple[str, ...], code: ErrorCode) -> None:
    with pytest.raises(ProtocolError) as refused:
        offer(*sections)
    assert refused.value.code is code
    assert refused.value.message


def test_extensions_and_sources_that_aiortc_cannot_read_are_left_out() -> None:
    lines = (
        "a=extmap:1/sendonly urn:ietf:params:rtp-hdrext:sdes:mid x=1",
        "a=ssrc:7 previous",
        "a=ssrc:8 cname:c",
    )
    [video] = seen_by_aiortc(offer(section("video", "v", *lines))).media
    assert [extension.id for extension in video.rtp.headerExtensions] == [1]
    assert [source.ssrc for source in video.ssrc] == [8]
