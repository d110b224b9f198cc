"""What an answer owes to its offer (RFC 3264, RFC 8829, RFC 8842, RFC 9143), on plain text: shares nothing
with the code that it checks."""

from __future__ import annotations

import re
from dataclasses import dataclass

REVERSED = {"sendonly": "recvonly", "recvonly": "sendonly", "sendrecv": "sendrecv", "inactive": "inactive"}
ANSWERABLE = {
    "sendrecv": {"sendrecv", "sendonly", "recvonly", "inactive"},
    "sendonly": {"recvonly", "inactive"},
    "recvonly": {"sendonly", "inactive"},
    "inactive": {"inactive"},
}
SETUP = {"actpass": {"active", "passive"}, "active": {"passive"}, "passive": {"active"}}


@dataclass(frozen=True, slots=True)
class Media:
    """A media section, or, without a line ``m=``, the session."""

    lines: list[str]

    @property
    def kind(self) -> str:
        return self._media[0].removeprefix("m=")

    @property
    def port(self) -> int:
        return int(self._media[1])

    @property
    def protocol(self) -> str:
        return self._media[2]

    @property
    def formats(self) -> list[str]:
        return self._media[3:]

    @property
    def _media(self) -> list[str]:
        return self.lines[0].split()

    def values(self, name: str) -> list[str]:
        return [line.partition(":")[2] for line in self.lines if re.fullmatch(f"a={name}(:.*)?", line)]

    def one(self, name: str) -> str | None:
        found = self.values(name)
        assert len(found) <= 1, (name, found)
        return found[0] if found else None

    def direction(self, otherwise: str) -> str:
        return next((line[2:] for line in self.lines if line[2:] in REVERSED), otherwise)

    def parameters(self, number: str) -> dict[str, str]:
        """Those of ``a=fmtp`` of a payload type."""
        [words] = [told.partition(" ")[2] for told in self.values("fmtp") if told.split()[0] == number] or [
            ""
        ]
        pairs = (pair.strip().partition("=") for pair in words.split(";") if pair.strip())
        return {name: value for name, _, value in pairs}


def split(sdp: str) -> tuple[Media, list[Media]]:
    """The session and its media sections."""
    parts: list[list[str]] = [[]]
    for line in sdp.splitlines():
        if line.startswith("m="):
            parts.append([])
        parts[-1].append(line)
    return Media(parts[0]), [Media(lines) for lines in parts[1:]]


def bundles(session: Media) -> list[list[str]]:
    groups = (value.split() for value in session.values("group"))
    return [mids for semantics, *mids in groups if semantics == "BUNDLE"]


def check(offer: str, answer: str) -> None:
    """Asserts all that holds for any answer of ours."""
    asked_session, asked = split(offer)
    told_session, told = split(answer)
    assert answer.startswith("v=0\r\n")
    assert all(re.fullmatch(r"[a-z]=\S.*", line) for line in answer.splitlines())
    assert [(media.kind, media.protocol) for media in told] == [
        (media.kind, media.protocol) for media in asked
    ], "the same sections in the same order (RFC 3264, 6)"
    assert [media.one("mid") for media in told] == [media.one("mid") for media in asked]
    for one, other in zip(asked, told, strict=True):
        if other.port:
            assert one.port or one.one("bundle-only") is not None, "what is stopped stays stopped"
            _check_live(asked_session, one, other)
    _check_groups(asked_session, told_session, told)
    taken = [media for media in told if media.kind == "video" and media.direction("sendrecv") == "recvonly"]
    assert len(taken) == 1, "one video is received"


def _check_live(session: Media, asked: Media, told: Media) -> None:
    assert set(told.formats) <= set(asked.formats), "payload types are those of the offer (RFC 3264, 6.1)"
    for name in ("ice-ufrag", "ice-pwd"):
        assert told.one(name), name
    assert told.values("fingerprint")
    offered = asked.one("setup") or session.one("setup")
    if offered is not None:
        assert told.one("setup") in SETUP[offered], "RFC 8842, 5.3"
    if asked.kind == "application":
        assert told.values("sctp-port") or told.values("sctpmap")
        return
    assert told.one("rtcp-mux") is not None, "RFC 8829, 5.3.1"
    wanted = asked.direction(session.direction("sendrecv"))
    assert told.direction("sendrecv") in ANSWERABLE[wanted], "RFC 3264, 6.1"
    assert {value.split()[0] for value in told.values("extmap")} <= {
        value.split()[0].partition("/")[0] for value in asked.values("extmap")
    }, "RFC 8285, 5"
    _check_formats(asked, told)


def _check_formats(asked: Media, told: Media) -> None:
    asked_names = dict(value.split(" ", 1) for value in asked.values("rtpmap"))
    for value in told.values("rtpmap"):
        number, name = value.split(" ", 1)
        assert name.lower() == asked_names[number].lower()
        if name.lower().startswith("h264"):
            for parameter in ("packetization-mode", "profile-level-id"):  # RFC 6184, 8.2.2: symmetric
                assert told.parameters(number).get(parameter) == asked.parameters(number).get(parameter)
            assert not any(name.startswith("sprop") for name in told.parameters(number)), "nothing is sent"
        if name.lower().startswith("rtx"):
            assert told.parameters(number)["apt"] in told.formats, "RFC 4588, 8.6"
    assert set(told.values("rtcp-fb")) <= _feedback(asked), "RFC 4585, 4.2"


def _feedback(asked: Media) -> set[str]:
    told = set(asked.values("rtcp-fb"))
    for_all = {words.removeprefix("* ") for words in told if words.startswith("* ")}
    return told | {f"{number} {words}" for number in asked.formats for words in for_all}


def _check_groups(asked: Media, told: Media, sections: list[Media]) -> None:
    live = {media.one("mid") for media in sections if media.port}
    offered = bundles(asked)
    for group in bundles(told):
        assert any(set(group) <= set(members) for members in offered), "RFC 9143, 7.3"
        assert set(group) <= live, "what is refused is in no group (RFC 9143, 7.3.3)"
        transports = {
            tuple(value for name in ("ice-ufrag", "candidate", "setup") for value in media.values(name))
            for media in sections
            if media.one("mid") in group
        }
        assert len(transports) == 1, "one transport for all of a group"
