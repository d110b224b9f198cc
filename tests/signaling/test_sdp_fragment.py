from __future__ import annotations

import pytest

from signaling.messages import ErrorCode, IceCandidate, ProtocolError
from signaling.sdp_fragment import SdpFragment, parse_fragment

HOST = "candidate:1 1 UDP 2130706431 198.51.100.1 39132 typ host"
RELAY = "candidate:2 1 UDP 41885439 203.0.113.9 50000 typ relay raddr 198.51.100.1 rport 39132"


def test_candidates_come_with_their_sections() -> None:
    """The example of RFC 8840, section 9, in the form of RFC 9725."""
    text = (
        "a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\n"
        f"m=audio 9 RTP/AVP 0\r\na=mid:0\r\na={HOST}\r\n"
        f"m=video 9 RTP/AVP 0\r\na=mid:1\r\na={RELAY}\r\na=end-of-candidates\r\n"
    )
    expected = (IceCandidate(HOST, "0"), IceCandidate(RELAY, "1"))
    assert parse_fragment(text) == SdpFragment("EsAw", expected, is_last=True)


@pytest.mark.parametrize(
    ("text", "index"),
    [(f"a={HOST}\n", 0), (f"m=audio 9 RTP/AVP 0\na={HOST}\n", 0), (f"m=a\na=mid:0\nm=b\na={HOST}\n", 1)],
)
def test_without_a_mid_a_candidate_is_for_the_section_at_its_place(text: str, index: int) -> None:
    assert parse_fragment(text).candidates == (IceCandidate(HOST, None, index),)


def test_a_fragment_may_say_no_more_than_that_there_is_no_more() -> None:
    assert parse_fragment("a=end-of-candidates\r\n\r\n") == SdpFragment(None, (), is_last=True)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("hello", "no SDP"),
        ('{"candidate": ""}', "no SDP"),
        ("a=ice-ufrag:one\na=ice-ufrag:two\n", "several ICE sessions"),
        ("a=mid:0\n" * 300, "256 lines"),
    ],
)
def test_what_is_no_fragment_is_refused_with_words(text: str, words: str) -> None:
    with pytest.raises(ProtocolError, match=words) as refused:
        parse_fragment(text)
    assert refused.value.code is ErrorCode.BAD_CANDIDATE
