"""Chooses the payload types of an offered video section, and makes their answer."""

from __future__ import annotations

import re
from collections import defaultdict

from aiortc.rtcrtpparameters import ParametersDict, RTCRtcpFeedback, RTCRtpCodecParameters

from mediaserver.webrtc.capture_clock import CLOCK_RATE
from mediaserver.webrtc.codecs import VideoCodec
from mediaserver.webrtc.sdp_offer import Section

_PAYLOAD_TYPES = frozenset(str(number) for number in (*range(35, 64), *range(96, 128)))
"""The dynamic payload types (RFC 5761, 4, RFC 8834, 4.3). Others conflict with RTCP or with other codecs."""
_FEEDBACK = {
    "nack": RTCRtcpFeedback(type="nack"),
    "nack pli": RTCRtcpFeedback(type="nack", parameter="pli"),
    "goog-remb": RTCRtcpFeedback(type="goog-remb"),
}
"""The feedback that the server sends, by RFC 4585 and draft-alvestrand-rmcat-remb."""
_H264_PROFILES = frozenset((66, 77, 88, 100, 110, 122, 244))
"""Baseline, Main, Extended, High, High 10, High 4:2:2 and High 4:4:4 Predictive (H.264, A.2)."""
_PACKETIZATION_MODES = frozenset("01")
"""Single NAL unit mode and non-interleaved mode (RFC 6184, 6.2, 6.3)."""
_H264_ECHOED = ("level-asymmetry-allowed", "packetization-mode", "profile-level-id")
"""Parameters that must be equal on both sides (RFC 6184, 8.2.2).

The others describe the receiving or the sent stream of their author. The server sends no video.
"""


def taken_formats(section: Section) -> list[RTCRtpCodecParameters]:
    """Returns the accepted codecs of ``section``, in the order of the offer, with retransmissions (RFC 4588).

    Their parameters are those of the answer.
    """
    offered = _Offered(section)
    numbers = [number for number in dict.fromkeys(section.formats) if number in _PAYLOAD_TYPES]
    codecs = [codec for number in numbers if (codec := offered.taken(number)) is not None]
    taken = {codec.payloadType for codec in codecs if "apt" not in codec.parameters}
    return [codec for codec in codecs if codec.parameters.get("apt", codec.payloadType) in taken]


class _Offered:
    """The payload types of a section, with their attributes."""

    def __init__(self, section: Section) -> None:
        self._encodings = _by_format(section, "rtpmap")
        self._parameters = _by_format(section, "fmtp")
        self._feedback = _by_format(section, "rtcp-fb")

    def taken(self, number: str) -> RTCRtpCodecParameters | None:
        """Returns the answer for one payload type; ``None`` if it is not accepted."""
        name, _, clock_rate = next(iter(self._encodings[number]), "").partition("/")
        if clock_rate != str(CLOCK_RATE):
            return None
        offered = _read_parameters(self._parameters[number])
        parameters: ParametersDict | None
        match name.upper():
            case "RTX":
                apt = offered.get("apt", "")
                parameters = {"apt": int(apt)} if apt in _PAYLOAD_TYPES else None
            case VideoCodec.VP8:
                parameters = {}
            case VideoCodec.H264:
                parameters = _h264(offered)
            case _:
                parameters = None
        if parameters is None:
            return None
        feedback = {*self._feedback[number], *self._feedback["*"]} if "apt" not in parameters else set()
        return RTCRtpCodecParameters(
            mimeType=f"video/{'rtx' if 'apt' in parameters else name.upper()}",  # aiortc's spelling
            clockRate=CLOCK_RATE,
            payloadType=int(number),
            rtcpFeedback=[known for words, known in _FEEDBACK.items() if words in feedback],
            parameters=parameters,
        )


def _by_format(section: Section, attribute: str) -> defaultdict[str, list[str]]:
    found: defaultdict[str, list[str]] = defaultdict(list)
    for value in section.values(attribute):
        number, _, words = value.partition(" ")
        found[number].append(words.strip())
    return found


def _read_parameters(lines: list[str]) -> dict[str, str]:
    """Parses ``fmtp`` parameters. Names are in lower case, as they are case-insensitive (RFC 6184, 8.1)."""
    pairs = (pair.partition("=") for line in lines for pair in line.split(";"))
    return {name.strip().lower(): value.strip() for name, _, value in pairs if name.strip()}


def _h264(offered: dict[str, str]) -> ParametersDict | None:
    """Returns the answer's parameters for H.264, or ``None`` if the format is not supported.

    The defaults are packetization mode 0, and Baseline profile at level 1 (RFC 6184, 8.1).
    """
    profile = offered.get("profile-level-id", "42000a")
    if offered.get("packetization-mode", "0") not in _PACKETIZATION_MODES:
        return None
    if not re.fullmatch("[0-9a-fA-F]{6}", profile) or int(profile[:2], 16) not in _H264_PROFILES:
        return None
    return {name: offered[name] for name in _H264_ECHOED if name in offered}
