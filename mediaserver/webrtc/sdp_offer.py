"""Parses an SDP offer to its media sections and the groups that share a transport (RFC 9143).

It reads the attributes for choosing sections and for answering declined sections. Stopped or unknown sections
need no particular attributes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import TypeAlias

from signaling.messages import ErrorCode, ProtocolError

_LINE = re.compile(r"[a-z]=.*")
_MEDIA = re.compile(r"m=(?P<kind>\S+) (?P<port>[0-9]{1,5})(?:/[0-9]+)? (?P<protocol>\S+) (?P<formats>\S.*)")
_TRANSPORT = ("ice-ufrag", "ice-pwd", "ice-options", "fingerprint", "setup", "candidate", "end-of-candidates")
"""Attributes that the first section of a group has for the whole group (RFC 9143, 7.1.3)."""
Attributes: TypeAlias = tuple[tuple[str, str], ...]
"""Pairs of name and value, in order. The value of a flag is empty."""


class Direction(StrEnum):
    """Direction of a section's media, as seen by the author of the SDP (RFC 8866, 6.7)."""

    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    INACTIVE = "inactive"


_DIRECTIONS = frozenset(Direction)


@dataclass(frozen=True, slots=True)
class Section:
    """One media section."""

    index: int
    kind: str
    port: int
    protocol: str
    formats: tuple[str, ...]
    attributes: Attributes
    direction: Direction

    @property
    def mid(self) -> str | None:
        """The name by which groups and candidates refer to the section."""
        return self.value("mid") or None

    @property
    def is_rtp(self) -> bool:
        """Whether the section carries RTP, under any name that WebRTC allows (RFC 8829, 5.1.2)."""
        return re.search(r"(^|/)RTP/S?AVPF?$", self.protocol) is not None

    @property
    def is_data(self) -> bool:
        """Whether the section carries data channels (RFC 8841)."""
        return self.kind == "application" and self.protocol.endswith("DTLS/SCTP")

    @property
    def can_share_transport(self) -> bool:
        """Whether the section may be in a group; with port 0 it needs ``bundle-only`` (RFC 9143, 6)."""
        has_port = self.port != 0 or self.value("bundle-only") is not None
        return has_port and (self.is_rtp or self.is_data)

    def value(self, name: str) -> str | None:
        """Returns the value of the first attribute of this name, or ``None``."""
        return next((value for known, value in self.attributes if known == name), None)

    def values(self, name: str) -> list[str]:
        """Returns the values of all attributes of this name."""
        return [value for known, value in self.attributes if known == name]


@dataclass(frozen=True, slots=True)
class SdpOffer:
    """A parsed offer.

    ``groups`` are sections that share a transport; the first section of a group names it.
    """

    session: Attributes
    sections: tuple[Section, ...]
    groups: tuple[tuple[Section, ...], ...]

    def is_live(self, section: Section) -> bool:
        """Whether the section is not a placeholder of a stopped section (RFC 8829, 5.2.2)."""
        return section.port != 0 or any(section in group for group in self.groups)

    def group_of(self, section: Section) -> tuple[Section, ...]:
        """Returns the sections on the transport of ``section``: only itself if it is in no group."""
        return next((group for group in self.groups if section in group), (section,))

    def transport_of(self, section: Section) -> list[tuple[str, str]]:
        """Returns the transport's attributes: those of the group's first section, else of the session.

        Sources: RFC 8839, 5.4 and RFC 8122, 5.
        """
        first = self.group_of(section)[0].attributes
        own = {name for name, _ in first}
        inherited = [(name, value) for name, value in self.session if name not in own]
        return [(name, value) for name, value in (*inherited, *first) if name in _TRANSPORT]


def parse_offer(sdp: str) -> SdpOffer:
    """Parses an offer. Raises `ProtocolError` (bad_sdp) if it is malformed or contradictory."""
    lines = sdp.splitlines()  # as aiortc does; it also splits at other characters than line feeds
    if not lines or lines[0].strip() != "v=0":
        raise bad_sdp("SDP begins with the line v=0 (RFC 8866, 5.1)")
    wrong = next((line for line in lines if line and not _LINE.match(line)), None)
    if wrong is not None:
        raise bad_sdp(f"{wrong[:40]!r} is no line of SDP (RFC 8866, 5)")
    starts = [number for number, line in enumerate(lines) if line.startswith("m=")]
    session = _attributes(lines[: starts[0] if starts else len(lines)])
    direction = _direction(session, Direction.SENDRECV)
    sections = tuple(
        _section(index, lines[start:end], direction)
        for index, (start, end) in enumerate(pairwise([*starts, len(lines)]))
    )
    _check_sections(sections)
    return SdpOffer(session, sections, tuple(_groups(session, sections)))


def bad_sdp(words: str) -> ProtocolError:
    """Makes the error for an offer that cannot be used."""
    return ProtocolError(ErrorCode.BAD_SDP, f"the SDP offer cannot be used: {words}"[:200])


def _section(index: int, lines: list[str], direction: Direction) -> Section:
    media = _MEDIA.fullmatch(lines[0].rstrip())
    if media is None or int(media["port"]) > 65535:
        raise bad_sdp(f"{lines[0][:40]!r} names no kind, port, protocol and formats (RFC 8866, 5.14)")
    formats, attributes = tuple(media["formats"].split()), _attributes(lines[1:])
    return Section(
        index=index,
        kind=media["kind"],
        port=int(media["port"]),
        protocol=media["protocol"],
        formats=formats,
        attributes=attributes,
        direction=_direction(attributes, direction),
    )


def _attributes(lines: list[str]) -> Attributes:
    told = (line[2:].partition(":") for line in lines if line.startswith("a="))
    return tuple((name.strip(), value.strip()) for name, _, value in told)


def _direction(attributes: Attributes, otherwise: Direction) -> Direction:
    return next((Direction(name) for name, _ in attributes if name in _DIRECTIONS), otherwise)


def _check_sections(sections: tuple[Section, ...]) -> None:
    names = Counter(section.mid for section in sections if section.mid is not None)
    twice = [name for name, count in names.items() if count > 1]
    if twice:
        raise bad_sdp(f"two media sections have the same a=mid, {twice[0][:40]!r}")
    if sum(section.is_data and section.port != 0 for section in sections) > 1:
        raise bad_sdp("an offer may have one section for data channels")


def _groups(session: Attributes, sections: tuple[Section, ...]) -> Iterator[tuple[Section, ...]]:
    """Yields the groups. A section is in one group at most, as it has one transport."""
    grouped = {section.mid: section for section in sections if section.can_share_transport}
    for name, value in session:
        semantics, *mids = value.split() if name == "group" and value else [""]
        if semantics == "BUNDLE":
            members = [grouped.pop(mid) for mid in dict.fromkeys(mids) if mid in grouped]
            if members:
                # The first section names the transport, so its port is not 0 (RFC 9143, 7.2).
                first = next((section for section in members if section.port != 0), members[0])
                yield (first, *(section for section in members if section is not first))
