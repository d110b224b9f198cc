"""Offers as browsers and other senders make them, one a file in ``offers/``.

Those of Chromium, Firefox and webrtcbin are recorded by `tests.interop.record_offers`, those of
aiortc and werift by hand; those of Safari and OBS are written after what they are known to send.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from signaling.messages import ErrorCode, ProtocolError
from tests.interop.invariants import bundles, check, split
from tests.mediaserver.webrtc.test_peer import LOOPBACK, answering

OFFERS = {path.stem: path.read_bytes().decode() for path in (Path(__file__).parent / "offers").glob("*.sdp")}


async def answer(offer: str) -> str:
    async with answering(interfaces=LOOPBACK) as peer:
        return await peer.answer(offer)


def without_groups(offer: str) -> str:
    """As of a client that does not bundle: each section has its port, and says nothing of ``bundle-only``."""
    offer = re.sub(r"a=group:BUNDLE.*\r?\n", "", offer)
    bundled = re.compile(r"^m=(\w+) 0 ((?:(?!^m=).*\n)*?)a=bundle-only\r?\n", re.MULTILINE)
    return bundled.sub(r"m=\1 9 \2", offer)


@pytest.mark.parametrize("name", OFFERS)
async def test_the_answer_keeps_to_the_offer(name: str) -> None:
    check(OFFERS[name], await answer(OFFERS[name]))


@pytest.mark.parametrize("name", OFFERS)
async def test_the_answer_keeps_to_the_offer_without_bundle(name: str) -> None:
    offer = without_groups(OFFERS[name])
    told = await answer(offer)
    check(offer, told)
    session, sections = split(told)
    assert bundles(session) == []
    kinds = {media.kind for media in split(offer)[1]}
    assert {media.kind for media in sections if media.port} == kinds - {"audio"}


@pytest.mark.parametrize("name", OFFERS)
@pytest.mark.parametrize("role", ["active", "passive", "actpass"])
async def test_the_side_that_begins_the_handshake_is_the_client_where_it_may_be(name: str, role: str) -> None:
    offer = re.sub("a=setup:.*", f"a=setup:{role}", OFFERS[name])
    told = await answer(offer)
    check(offer, told)
    assert ("a=setup:active" in told) == (role == "passive")


@pytest.mark.parametrize("name", [name for name in OFFERS if "call" in name])
async def test_in_a_call_all_sections_share_the_transport_of_the_camera(name: str) -> None:
    session, sections = split(await answer(OFFERS[name]))
    assert bundles(session) == [["0", "1", "2", "3"]]
    assert [media.direction("sendrecv") for media in sections[:3]] == ["inactive", "inactive", "recvonly"]
    assert len({media.port for media in sections}) == 1


@pytest.mark.parametrize("name", [name for name in OFFERS if "replaced" in name])
@pytest.mark.parametrize(
    "left_out", ["", "ice-ufrag|ice-pwd|fingerprint|setup|candidate|rtpmap|fmtp|rtcp-mux"]
)
async def test_a_stopped_section_is_refused_and_nothing_is_asked_of_it(name: str, left_out: str) -> None:
    head, stopped, *rest = re.split(r"(?=^m=)", OFFERS[name], flags=re.MULTILINE)
    if left_out:
        stopped = re.sub(rf"a=({left_out}).*\r?\n", "", stopped)
    offer = "".join((head, stopped, *rest))
    told = await answer(offer)
    check(offer, told)
    session, sections = split(told)
    assert [media.port == 0 for media in sections] == [True, False, False, False]
    assert bundles(session) == [["2", "3", "4"]]


@pytest.mark.parametrize(
    ("name", "has_rtx"),
    [
        ("chromium_camera", True),
        ("firefox_camera", True),
        ("safari_camera", True),
        ("chromium_simulcast", False),
        ("firefox_simulcast", False),
    ],
)
async def test_rtx_is_taken_where_it_can_be_told_whose_it_is(name: str, has_rtx: bool) -> None:
    """Else lost packets are repeated in the stream itself."""
    _, sections = split(await answer(OFFERS[name]))
    (video,) = (media for media in sections if media.kind == "video" and media.port)
    assert any("rtx/90000" in value for value in video.values("rtpmap")) == has_rtx


@pytest.mark.parametrize(
    ("offered", "answered"),
    [
        ("level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=640c1f", None),
        ("level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=640c34", None),
        ("packetization-mode=1;profile-level-id=64001f", None),
        ("level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=4d001f", None),
        ("packetization-mode=0;profile-level-id=42e01f", None),
        ("profile-level-id=42C015", None),
        ("packetization-mode=1; Profile-Level-Id=64001f", "packetization-mode=1;profile-level-id=64001f"),
        ("packetization-mode=1;sprop-parameter-sets=Z0LAFdoFB+w=,aM48gA==;profile-level-id=42c015;max-fs=3600",
         "packetization-mode=1;profile-level-id=42c015"),
        ("", ""),
    ],
)  # fmt: skip
async def test_h264_alone_is_taken_and_its_parameters_echoed(offered: str, answered: str | None) -> None:
    line = f"a=fmtp:96 {offered}\r\n" if offered else ""
    offer = re.sub(r"a=fmtp:96 .*\r?\n", line, OFFERS["webrtcbin_h264"])
    assert f"a=fmtp:96 {offered}" in offer or not offered
    _, [video, _] = split(await answer(offer))
    assert video.formats == ["96"]
    expected = offered if answered is None else answered
    assert video.values("fmtp") == ([f"96 {expected}"] if expected else [])


@pytest.mark.parametrize(
    "offered",
    ["packetization-mode=2;profile-level-id=42e01f", "profile-level-id=42", "profile-level-id=zz001f"],
)
async def test_h264_that_cannot_be_depayloaded_or_decoded_is_refused(offered: str) -> None:
    offer = re.sub(r"a=fmtp:96 .*", f"a=fmtp:96 {offered}", OFFERS["webrtcbin_h264"])
    with pytest.raises(ProtocolError, match="packetization modes 0 and 1") as refused:
        await answer(offer)
    assert refused.value.code is ErrorCode.UNSUPPORTED_CODEC


@pytest.mark.parametrize("number", ["35", "39", "63", "96", "127"])
async def test_every_dynamic_payload_type_is_taken(number: str) -> None:
    offer = re.sub(r"\b96\b", number, OFFERS["webrtcbin_vp8"])
    told = await answer(offer)
    check(offer, told)
    assert split(told)[1][0].formats == [number]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda sdp: "xx", "v=0"),
        (lambda sdp: "", "v=0"),
        (lambda sdp: sdp.replace("s=-", "s"), "no line of SDP"),
        (lambda sdp: sdp.replace("m=video 9", "m=video nine"), "port"),
        (lambda sdp: re.sub("a=fingerprint:.*", "", sdp), "a=fingerprint"),
        (lambda sdp: sdp.replace("sha-256", "sha-1"), "sha-256"),
        (lambda sdp: re.sub("a=ice-pwd:.*", "", sdp), "a=ice-pwd"),
        (lambda sdp: sdp.replace("a=setup:actpass", "a=setup:holdconn"), "a=setup:holdconn"),
        (lambda sdp: sdp.replace("a=mid:application1", "a=mid:video0"), "same a=mid"),
        (lambda sdp: re.sub("a=rtcp-mux|a=group.*", "a=x", sdp).replace("m=application 0", "m=application 9"),
         "a=rtcp-mux"),
        (lambda sdp: sdp.replace("a=sctp-port:5000", "a=sctp-port:many"), "many"),
    ],
)  # fmt: skip
async def test_an_offer_that_cannot_be_used_says_why(damage: object, words: str) -> None:
    with pytest.raises(ProtocolError, match=re.escape(words)) as refused:
        await answer(damage(OFFERS["webrtcbin_vp8"]))  # type: ignore[operator]
    assert refused.value.code is ErrorCode.BAD_SDP
