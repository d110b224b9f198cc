"""SDP offers, up to the answer."""

from __future__ import annotations

from signaling.codec import encode
from signaling.messages import Error, ProtocolError
from tests.fuzz.budget import Budget
from tests.fuzz.event_loop import run
from tests.fuzz.peers import idle_peer

BUDGET = Budget(base_s=0.06, per_byte_s=2e-6)
MUTATIONS = 200


def one_input(data: bytes) -> None:
    run(_answer(data.decode(errors="replace")))


async def _answer(offer: str) -> None:
    async with idle_peer() as peer:
        try:
            answer = await peer.answer(offer)
        except ProtocolError as error:
            encode(Error(error.code, error.message, error.fatal))
        else:
            assert answer.startswith("v=0\r\n")
