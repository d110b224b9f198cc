"""What an SDP offer may hold. aiortc's work on an offer grows with the square of these numbers, on the event
loop, and it stays half built over sections that contradict each other."""

from __future__ import annotations

from collections import Counter

from aiortc.sdp import SessionDescription

from signaling.messages import ErrorCode, ProtocolError

_MAX_LINES = {
    "m=": 8,
    "a=candidate": 64,
    "a=extmap": 256,
    "a=fmtp": 256,
    "a=rtcp-fb": 1024,
    "a=rtpmap": 256,
    "a=ssrc": 128,
    "a=ssrc-group": 64,
}
"""In all sections together. A browser that offers audio, video and data has a tenth to a third of these."""
_MAX_WILDCARDS = 8
"""Lines of feedback that are for every payload type."""


def check_text(sdp: str) -> None:
    """Before it is parsed. Raises `ProtocolError`."""
    counts: Counter[str] = Counter()
    payload_types: set[int] = set()
    for line in sdp.splitlines():  # as aiortc does, which takes more than line feeds for ends of lines
        kind, _, value = line.partition(":")
        if line.startswith("m="):
            kind = "m="
            payload_types.clear()
        counts[kind] += 1
        if counts[kind] > _MAX_LINES.get(kind, len(sdp)):
            raise _bad_sdp(f"an offer may have {_MAX_LINES[kind]} lines with {kind}")
        if kind == "a=rtpmap":
            _check_payload_type(value, payload_types)
        elif kind == "a=rtcp-fb" and value.startswith("*"):
            counts[value[:1]] += 1
            if counts["*"] > _MAX_WILDCARDS:
                raise _bad_sdp(f"an offer may have {_MAX_WILDCARDS} lines with a=rtcp-fb:*")


def check_sections(description: SessionDescription) -> None:
    """After it is parsed: each section can be told from the others, and BUNDLE (RFC 9143, 7.2) begins with
    one that there is. Raises `ProtocolError`."""
    names = [media.rtp.muxId for media in description.media]
    if len(set(names)) < len(names):
        raise _bad_sdp("two media sections have the same a=mid")
    if sum(media.kind == "application" for media in description.media) > 1:
        raise _bad_sdp("an offer may have one section for data channels")
    transported = {
        media.rtp.muxId for media in description.media if media.kind in ("audio", "video", "application")
    }
    bundles = [group.items for group in description.group if group.semantic == "BUNDLE" and group.items]
    if any(items[0] not in transported for items in bundles):
        raise _bad_sdp("a=group:BUNDLE begins with a section that is not there")


def _check_payload_type(value: str, payload_types: set[int]) -> None:
    try:
        payload_type = int(value.partition(" ")[0])
    except ValueError:
        raise _bad_sdp("a payload type is no number") from None
    if payload_type in payload_types:
        raise _bad_sdp(f"payload type {payload_type} is described twice")
    payload_types.add(payload_type)


def _bad_sdp(words: str) -> ProtocolError:
    return ProtocolError(ErrorCode.BAD_SDP, words)
