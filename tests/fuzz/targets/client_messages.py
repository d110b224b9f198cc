"""Text messages on the WebSocket, one a line, and the conversation that they move on."""

from __future__ import annotations

from signaling.codec import decode_client, encode
from signaling.messages import Error, Offer, ProtocolError
from signaling.negotiation import Negotiation, State

MUTATIONS = 3000


def one_input(data: bytes) -> None:
    conversation = Negotiation()
    for number, line in enumerate(data.splitlines()):
        try:
            message = decode_client(line.decode(errors="replace"))
            encode(message)
            conversation.receive(message)
        except ProtocolError as error:
            encode(Error(error.code, error.message, error.fatal))
            continue
        if isinstance(message, Offer):
            if number % 3:
                conversation.answered()
            else:
                conversation.refused(earlier_stays=bool(number % 2))
    assert isinstance(conversation.state, State)
