"""Limits of an SDP offer.

aiortc's work for an offer grows with the square of these numbers, and blocks the event loop.
"""

from __future__ import annotations

from collections import Counter

from mediaserver.webrtc.sdp_offer import bad_sdp

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
"""Lines in all sections together. An offer of a browser has a tenth to a third of these."""
_MAX_WILDCARDS = 8
"""Lines of ``a=rtcp-fb`` for all payload types."""


def check_text(sdp: str) -> None:
    """Checks the limits before the offer is parsed. Raises `ProtocolError`."""
    counts: Counter[str] = Counter()
    payload_types: set[int] = set()
    for line in sdp.splitlines():  # as aiortc does; it also splits at other characters than line feeds
        kind, _, value = line.partition(":")
        kind = "".join(kind.split())  # the parser strips blanks around names
        if line.startswith("m="):
            kind = "m="
            payload_types.clear()
        counts[kind] += 1
        if counts[kind] > _MAX_LINES.get(kind, len(sdp)):
            raise bad_sdp(f"an offer may have {_MAX_LINES[kind]} lines with {kind}")
        if kind == "a=rtpmap":
            _check_payload_type(value, payload_types)
        elif kind == "a=rtcp-fb" and value.startswith("*"):
            counts[value[:1]] += 1
            if counts["*"] > _MAX_WILDCARDS:
                raise bad_sdp(f"an offer may have {_MAX_WILDCARDS} lines with a=rtcp-fb:*")


def _check_payload_type(value: str, payload_types: set[int]) -> None:
    try:
        payload_type = int(value.partition(" ")[0])
    except ValueError:
        raise bad_sdp("a payload type is no number") from None
    if payload_type in payload_types:
        raise bad_sdp(f"payload type {payload_type} is described twice")
    payload_types.add(payload_type)
