from __future__ import annotations

import time

import pytest

from mediaserver.webrtc.sdp_limits import check_text
from signaling.messages import MAX_TEXT_BYTES, ErrorCode, ProtocolError

SECTION = "m={kind} 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:{name}\r\n"


@pytest.mark.parametrize(
    "line",
    [
        "a=rtpmap:{number} VP8/90000",
        "a=rtpmap:96 VP8/90000",
        "a=rtcp-fb:* nack",
        "a=rtcp-fb:96 nack",
        "a=fmtp:96 apt=96",
        "a=ssrc:{number} cname:x",
        "a=ssrc :{number} cname:x",
        "a= ssrc\t:{number} cname:x",
        "a=ssrc-group:FID 1 2",
        "a=extmap:{number} urn:x",
        "a=candidate:{number} 1 udp 1 192.0.2.1 9 typ host",
        "m=video 9 UDP/TLS/RTP/SAVPF 96",
    ],
)
@pytest.mark.parametrize("end", ["\r\n", "\n", "\x1d", "\u2028"])
def test_what_aiortc_is_slow_at_is_refused_before_it_sees_it(line: str, end: str) -> None:
    sdp = "".join(line.format(number=number) + end for number in range(MAX_TEXT_BYTES // len(line)))
    began = time.process_time()
    with pytest.raises(ProtocolError) as refused:
        check_text(sdp)
    assert refused.value.code is ErrorCode.BAD_SDP
    assert time.process_time() - began < 0.05


def test_an_offer_of_a_browser_with_many_codecs_is_within_the_limits() -> None:
    codecs = "".join(
        f"a=rtpmap:{number} VP8/90000\r\na=rtcp-fb:{number} nack\r\na=fmtp:{number} x=1\r\n"
        for number in range(35, 100)
    )
    check_text("v=0\r\n" + "".join(SECTION.format(kind="video", name=name) + codecs for name in "ab"))


def test_one_payload_type_may_be_in_each_section_but_not_twice_in_one() -> None:
    section = SECTION.format(kind="video", name="0") + "a=rtpmap:96 VP8/90000\r\n"
    check_text(section * 2)
    with pytest.raises(ProtocolError, match="twice"):
        check_text(section + "a=rtpmap:096 VP8/90000\r\n")
    with pytest.raises(ProtocolError, match="no number"):
        check_text(section + "a=rtpmap:x VP8/90000\r\n")
