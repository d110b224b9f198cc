"""Chooses the accepted sections of an offer, and answers the whole offer (RFC 3264, RFC 8829, RFC 9143).

One section of video is accepted, and one of data channels. aiortc gets only these, each with its transport.
For other sections it would make transceivers, and require codecs and ICE credentials. It would also group
sections in its own way. So this module completes the answer. A declined section is inactive if it shares the
transport of an accepted section. Otherwise it is refused with port 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import filterfalse
from typing import TypeAlias

from aiortc.codecs import is_rtx
from aiortc.rtcrtpparameters import RTCRtpCodecParameters

from mediaserver.webrtc.sdp_offer import Direction, SdpOffer, Section, bad_sdp, parse_offer
from mediaserver.webrtc.video_formats import taken_formats
from signaling.messages import ErrorCode, IceCandidate, ProtocolError

AdmitsCandidate: TypeAlias = Callable[[str, int], bool]
"""Returns whether the address and port of a candidate may be used."""

_SENDING = (Direction.SENDRECV, Direction.SENDONLY)
_STAND_IN = "a=rtpmap:96 VP8/90000"
"""A codec of aiortc, which supports few H.264 profiles and payload types. It is replaced later."""
_CREDENTIALS = ("c=", "a=ice-", "a=fingerprint:", "a=setup:", "a=end-of-candidates")
_CANDIDATE = "a=candidate:"
_PORT_DIGITS = 5
_DIGESTS = ("sha-256", "sha-384", "sha-512")
_ROLES = {"actpass": "active", "active": "active", "passive": "passive"}
"""DTLS roles. If the client leaves the choice, it begins the handshake (RFC 8842, 5.3).

The cipher suites then depend on the server's certificate, and the client's may be of any kind.
"""


class OfferAnswer:
    """One offer and its answer. Raises `ProtocolError` (bad_sdp, no_video, unsupported_codec).

    ``codecs`` are the accepted video codecs, in the order of the offer.
    """

    def __init__(self, sdp: str) -> None:
        self._offer = parse_offer(sdp)
        video, self.codecs = _sent_video(self._offer)
        data = (each for each in self._offer.sections if each.is_data and self._offer.is_live(each))
        self._taken = sorted((video, *data), key=lambda section: section.index)

    def offer_of_taken(self, admits: AdmitsCandidate) -> str:
        """Returns an offer with only the accepted sections, for aiortc.

        Candidates that ``admits`` declines are left out. Sections are named by their index in the whole
        offer.
        """
        lines = ["v=0", "o=- 0 0 IN IP4 0.0.0.0", "s=-", "t=0 0"]
        lines += [f"a={name}" for name, _ in self._offer.session if name == "ice-lite"]
        for group in self._offer.groups:
            names = [str(section.index) for section in group if section in self._taken]
            if len(names) > 1:
                lines.append(f"a=group:BUNDLE {' '.join(names)}")
        for section in self._taken:
            lines += _taken_section(self._offer, section, admits)
        return _text(lines)

    def answer(self, of_taken: str) -> str:
        """Returns the answer to the whole offer. ``of_taken`` is the answer to `offer_of_taken`."""
        session, *answers = _split(of_taken)
        answered = dict(zip((section.index for section in self._taken), answers, strict=True))
        lines = [line for line in session if not line.startswith("a=group:")]
        lines.append("a=ice-options:trickle")
        for group in self._offer.groups:
            if any(section in self._taken for section in group):
                lines.append(f"a=group:BUNDLE {' '.join(section.mid or '' for section in group)}")
        for section in self._offer.sections:
            if section in self._taken:
                lines += _answered_section(section, answered[section.index])
            else:
                users = self._users(section)
                model = users[0] if users else self._taken[0]
                lines += _declined_section(section, answered[model.index], shares=bool(users))
        return _text(lines)

    def name_for(self, candidate: IceCandidate) -> str | None:
        """Returns the section of `offer_of_taken` for a candidate; ``None`` if none uses its transport.

        In a group only the first section has a transport (RFC 9143, 7.4).
        """
        for section in self._offer.sections:
            # A mid is one character at least (RFC 8843 section 14), so an empty one names nothing.
            by_index = not candidate.sdp_mid and section.index == candidate.sdp_m_line_index
            if by_index or (candidate.sdp_mid and section.mid == candidate.sdp_mid):
                users = self._users(section)
                is_first = self._offer.group_of(section)[0] is section
                return str(users[0].index) if users and is_first else None
        return None

    def _users(self, section: Section) -> list[Section]:
        """Returns the accepted sections on the transport of ``section``."""
        return [each for each in self._offer.group_of(section) if each in self._taken]


def _sent_video(offer: SdpOffer) -> tuple[Section, list[RTCRtpCodecParameters]]:
    """Returns the first section that sends video in a supported codec, and its codecs."""
    sent = [
        each
        for each in offer.sections
        if each.kind == "video" and each.is_rtp and each.direction in _SENDING and offer.is_live(each)
    ]
    if not sent:
        raise ProtocolError(ErrorCode.NO_VIDEO, "the offer sends no video")
    for section in sent:
        codecs = taken_formats(section)
        if codecs:
            return section, codecs if len(_sources(section)) == 2 else list(filterfalse(is_rtx, codecs))
    raise ProtocolError(
        ErrorCode.UNSUPPORTED_CODEC,
        "no video codec in common; VP8 is taken, and H.264 in packetization modes 0 and 1",
    )


def _sources(section: Section) -> list[str]:
    """Returns the SSRCs that the section names.

    aiortc takes RTX from the second of exactly two. Without RTX in the answer, a sender repeats lost packets
    in the stream itself.
    """
    return [source for source in section.values("ssrc") if " cname:" in source]


# --- the offer for aiortc ---


def _taken_section(offer: SdpOffer, section: Section, admits: AdmitsCandidate) -> Iterator[str]:
    formats = section.formats if section.is_data else ("96",)
    yield f"m={section.kind} 9 {section.protocol} {' '.join(formats)}"
    yield f"a=mid:{section.index}"
    yield from _sctp(section) if section.is_data else _rtp(offer, section)
    yield from _transport(offer, section, admits)


def _sctp(section: Section) -> Iterator[str]:
    for name in ("sctp-port", "sctpmap", "max-message-size"):
        yield from (f"a={name}:{value}" for value in section.values(name))
    if section.value("sctp-port") is None:
        yield "a=sctp-port:5000"  # RFC 8841, 5.1


def _rtp(offer: SdpOffer, section: Section) -> Iterator[str]:
    if section.value("rtcp-mux") is None and section not in offer.group_of(section)[1:]:
        raise bad_sdp("video needs a=rtcp-mux: one port for RTP and RTCP (RFC 8829, 5.1.1)")
    yield "a=sendonly"
    yield "a=rtcp-mux"
    yield _STAND_IN
    for extension in section.values("extmap"):
        yield f"a=extmap:{' '.join(extension.split()[:2])}"
    yield from (f"a=ssrc:{source}" for source in _sources(section))


def _transport(offer: SdpOffer, section: Section, admits: AdmitsCandidate) -> Iterator[str]:
    """Yields the transport attributes of the section's group that aiortc can use."""
    attributes = offer.transport_of(section)
    if not {"ice-ufrag", "ice-pwd"} <= {name for name, _ in attributes}:
        raise bad_sdp(f"{section.kind} needs a=ice-ufrag and a=ice-pwd (RFC 8839, 5.4)")
    yield from (f"a={name}:{value}" for name, value in attributes if name in ("ice-ufrag", "ice-pwd"))
    named = [value for name, value in attributes if name == "candidate"]
    kept = [value for value in named if _is_kept(value, admits)]
    yield from (f"a=candidate:{value}" for value in kept)
    # Without candidates aioice would fail at once; a check of the client may reveal one (RFC 8445, 7.3.1.3).
    if kept and len(kept) == len(named) and any(name == "end-of-candidates" for name, _ in attributes):
        yield "a=end-of-candidates"
    fingerprints = [value for name, value in attributes if name == "fingerprint" and _is_known(value)]
    if not fingerprints:
        raise bad_sdp(f"{section.kind} needs a=fingerprint with one of {', '.join(_DIGESTS)} (RFC 8122, 5)")
    yield from (f"a=fingerprint:{value}" for value in fingerprints)
    setup = next((value for name, value in attributes if name == "setup"), "active")  # RFC 4145, 4
    if setup not in _ROLES:
        raise bad_sdp(f"a=setup:{setup[:40]} is none of {', '.join(_ROLES)} (RFC 8842, 5.2)")
    yield f"a=setup:{_ROLES[setup]}"


def _is_known(fingerprint: str) -> bool:
    digest, *value = fingerprint.lower().split()
    return digest in _DIGESTS and len(value) == 1


def _is_kept(candidate: str, admits: AdmitsCandidate) -> bool:
    parts = candidate.split()
    if len(parts) < 6 or len(parts[5]) > _PORT_DIGITS or not parts[5].isdecimal():
        return True  # aiortc rejects malformed candidates
    return admits(parts[4], int(parts[5]))


# --- the answer for the client ---


def _answered_section(section: Section, lines: list[str]) -> Iterator[str]:
    """Yields aiortc's answer to an accepted section, with the name and protocol of the offer."""
    _, port, _, *formats = lines[0].split()
    yield f"m={section.kind} {port} {section.protocol} {' '.join(formats)}"
    for line in lines[1:]:
        if not line.startswith("a=mid:"):
            yield line
        elif section.mid:
            yield f"a=mid:{section.mid}"


def _declined_section(section: Section, model: list[str], *, shares: bool) -> Iterator[str]:
    """Yields the answer to a declined section: inactive if ``shares``, else refused.

    ``model`` is the answer to an accepted section, whose transport attributes are repeated. A refused section
    has them, too, without candidates. aiortc as a client needs credentials in each section, and waits for
    candidates until ``end-of-candidates``.
    """
    port, named = (model[0].split()[1], (*_CREDENTIALS, _CANDIDATE)) if shares else ("0", _CREDENTIALS)
    yield f"m={section.kind} {port} {section.protocol} {section.formats[0]}"
    yield from (line for line in model[1:] if line.startswith(named))
    if section.mid:
        yield f"a=mid:{section.mid}"
    if section.is_rtp:
        yield f"a={Direction.INACTIVE}"
        yield "a=rtcp-mux"
        for name in ("rtpmap", "fmtp"):
            values = (value for value in section.values(name) if value.split()[:1] == [section.formats[0]])
            yield from (f"a={name}:{value}" for value in values)


def _split(sdp: str) -> list[list[str]]:
    """Returns the lines of the session, then those of each media section."""
    parts: list[list[str]] = [[]]
    for line in sdp.splitlines():
        if line.startswith("m="):
            parts.append([])
        parts[-1].append(line)
    return parts


def _text(lines: list[str]) -> str:
    return "\r\n".join((*lines, ""))
