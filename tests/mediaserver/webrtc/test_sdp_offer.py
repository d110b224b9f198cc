from __future__ import annotations

import time

import pytest

from mediaserver.webrtc.sdp_offer import Direction, parse_offer
from signaling.messages import MAX_TEXT_BYTES, ErrorCode, ProtocolError

VIDEO = "m=video {port} UDP/TLS/RTP/SAVPF 96\r\na=mid:{mid}\r\n"
DATA = "m=application {port} UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:{mid}\r\n"


def offer(*sections: str, session: str = "") -> str:
    return "v=0\r\n" + session + "".join(sections)


def video(mid: str, port: int = 9, more: str = "") -> str:
    return VIDEO.format(mid=mid, port=port) + more


def mids_of_groups(sdp: str) -> list[list[str | None]]:
    return [[section.mid for section in group] for group in parse_offer(sdp).groups]


def test_a_section_that_says_no_direction_goes_both_ways_or_as_the_session_says() -> None:
    sections = (video("0"), video("1", more="a=sendonly\r\n"))
    assert [each.direction for each in parse_offer(offer(*sections)).sections] == [
        Direction.SENDRECV,
        Direction.SENDONLY,
    ]
    [first, _] = parse_offer(offer(*sections, session="a=recvonly\r\n")).sections
    assert first.direction is Direction.RECVONLY


def test_a_group_begins_with_the_section_that_names_its_transport() -> None:
    sections = (video("0", 0, "a=bundle-only\r\n"), video("1"), video("2"))
    assert mids_of_groups(offer(*sections, session="a=group:BUNDLE 0 2 1\r\n")) == [["2", "0", "1"]]


def test_stopped_sections_and_those_that_are_not_there_are_in_no_group() -> None:
    sections = (video("0", 0), video("1"), "m=message 9 TCP/MSRP *\r\na=mid:2\r\n")
    session = (
        "a=group:LS 0 1\r\na=group:BUNDLE 7 0 1 1 2\r\na=group:BUNDLE 1\r\na=group:BUNDLE\r\na=group:\r\n"
    )
    assert mids_of_groups(offer(*sections, session=session)) == [["1"]]


def test_bundle_only_lives_in_a_group_and_nowhere_else() -> None:
    sections = (video("0"), video("1", 0, "a=bundle-only\r\n"))
    for session, live in (("a=group:BUNDLE 0 1\r\n", [True, True]), ("", [True, False])):
        parsed = parse_offer(offer(*sections, session=session))
        assert [parsed.is_live(section) for section in parsed.sections] == live


def test_a_transport_is_that_of_the_group_and_of_the_session_where_it_has_none() -> None:
    session = "a=ice-ufrag:session\r\na=setup:actpass\r\na=group:BUNDLE 0 1\r\n"
    sections = (video("0", more="a=ice-ufrag:first\r\n"), video("1", more="a=ice-ufrag:second\r\n"))
    parsed = parse_offer(offer(*sections, video("2"), session=session))
    transports = [dict(parsed.transport_of(section)) for section in parsed.sections]
    assert transports == [
        {"ice-ufrag": "first", "setup": "actpass"},
        {"ice-ufrag": "first", "setup": "actpass"},
        {"ice-ufrag": "session", "setup": "actpass"},
    ]


@pytest.mark.parametrize(
    ("sdp", "words"),
    [
        ("", "v=0"),
        ("xx", "v=0"),
        ("\0" * 50, "v=0"),
        (" v=0\r\nm", "is no line of SDP"),
        ("v=0\r\nm=video", "port"),
        ("v=0\r\nm=video 70000 X 0", "port"),
        (offer(video("0"), video("0")), "same a=mid"),
        (offer(DATA.format(mid="0", port=9), DATA.format(mid="1", port=9)), "one section for data"),
    ],
)
def test_what_is_no_offer_is_refused_with_words(sdp: str, words: str) -> None:
    with pytest.raises(ProtocolError, match=words) as refused:
        parse_offer(sdp)
    assert refused.value.code is ErrorCode.BAD_SDP


def test_data_channels_may_have_been_stopped_before() -> None:
    sections = parse_offer(offer(DATA.format(mid="0", port=0), DATA.format(mid="1", port=9))).sections
    assert [section.is_data for section in sections] == [True, True]


@pytest.mark.parametrize("line", ["m=video 9 RTP/AVP 1", "a=group:BUNDLE 0 1", "a=mid:0 1 2 3", "a="])
def test_a_long_offer_takes_little_time(line: str) -> None:
    sdp = "v=0\r\n" + f"{line}\r\n" * (MAX_TEXT_BYTES // (len(line) + 2))
    began = time.process_time()
    parsed = parse_offer(sdp)
    for section in parsed.sections[:8]:
        parsed.transport_of(section)
    assert time.process_time() - began < 0.5
