"""Trickled ICE candidates, one a line, behind the number of their media section and a colon."""

from __future__ import annotations

from signaling.codec import encode
from signaling.messages import Error, IceCandidate, ProtocolError
from tests.fuzz.budget import Budget
from tests.fuzz.event_loop import run
from tests.fuzz.inputs import CORPUS
from tests.fuzz.peers import idle_peer

BUDGET = Budget(base_s=0.06, per_byte_s=2e-6)
MUTATIONS = 100
_SECTIONS = ("0", "1", "64")


def one_input(data: bytes) -> None:
    run(_trickle(data.decode(errors="replace")))


async def _trickle(lines: str) -> None:
    async with idle_peer() as peer:
        await peer.answer((CORPUS / "sdp_offers" / "video.sdp").read_text())
        for line in lines.split("\n"):
            section, _, candidate = line.partition(":")
            index = int(section) if section in _SECTIONS else None
            try:
                await peer.add_candidate(IceCandidate(candidate[:1024], section[:64], index))
            except ProtocolError as error:
                encode(Error(error.code, error.message, error.fatal))
