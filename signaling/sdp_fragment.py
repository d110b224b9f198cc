"""SDP fragments of trickle ICE over HTTP (RFC 8840, RFC 9725 section 4.3.1). Pure."""

from __future__ import annotations

from dataclasses import dataclass

from signaling.messages import ErrorCode, IceCandidate, ProtocolError

MAX_FRAGMENT_BYTES = 16 * 1024
_MAX_LINES = 256
_CANDIDATE = "a=candidate:"


@dataclass(frozen=True, slots=True)
class SdpFragment:
    """Candidates, each with the media section that it is for. ``ufrag`` names their ICE session, if the
    fragment has it. ``is_last``: no more candidates come."""

    ufrag: str | None
    candidates: tuple[IceCandidate, ...]
    is_last: bool


def parse_fragment(text: str) -> SdpFragment:
    """Raises `ProtocolError` if the text is no fragment: lines that are no SDP, several ICE sessions.

    A candidate in a section without ``a=mid``, or before all sections, is for the one at its place.
    """
    lines = [line for line in text.splitlines() if line]
    if len(lines) > _MAX_LINES:
        raise _bad(f"a fragment may have {_MAX_LINES} lines")
    ufrags: set[str] = set()
    candidates: list[IceCandidate] = []
    sections, is_last = 0, False
    mid: str | None = None
    for line in lines:
        if line[1:2] != "=":
            raise _bad("a line of the fragment is no SDP")
        if line.startswith("m="):
            sections, mid = sections + 1, None
        elif line.startswith("a=mid:"):
            mid = line.removeprefix("a=mid:").strip()
        elif line.startswith("a=ice-ufrag:"):
            ufrags.add(line.removeprefix("a=ice-ufrag:").strip())
        elif line.startswith(_CANDIDATE):
            index = max(0, sections - 1) if mid is None else None
            candidates.append(IceCandidate(line.removeprefix("a="), mid, index))
        elif line.startswith("a=end-of-candidates"):
            is_last = True
    if len(ufrags) > 1:
        raise _bad("the fragment is of several ICE sessions")
    return SdpFragment(next(iter(ufrags), None), tuple(candidates), is_last)


def _bad(words: str) -> ProtocolError:
    return ProtocolError(ErrorCode.BAD_CANDIDATE, words)
