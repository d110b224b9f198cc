"""The conversation on one socket as a state machine, without sockets."""

from __future__ import annotations

from enum import Enum, auto

from signaling.messages import (
    PROTOCOL_VERSION,
    Bye,
    Candidate,
    ClientMessage,
    Configure,
    ErrorCode,
    Hello,
    Offer,
    Ping,
    ProtocolError,
    Report,
    Trigger,
)


class State(Enum):
    """Where the conversation stands."""

    NEW = auto()
    """The socket is open; only ``hello`` may come."""
    READY = auto()
    """Welcomed. No peer connection; JPEG frames are welcome."""
    ANSWERING = auto()
    """An offer is being answered."""
    NEGOTIATED = auto()
    """The answer is out; candidates may come, frames may flow either way."""
    WATCHING = auto()
    """Welcomed to another's session: to listen."""
    CLOSED = auto()
    """Nothing more is accepted."""


_ALWAYS: tuple[type[ClientMessage], ...] = (Configure, Trigger, Ping, Report)

_TRANSITIONS: dict[tuple[State, type[ClientMessage]], State] = {
    (State.NEW, Hello): State.READY,  # hello -> welcome
    (State.READY, Offer): State.ANSWERING,  # offer -> answer follows
    (State.NEGOTIATED, Offer): State.ANSWERING,  # a new offer replaces the peer connection
    (State.NEGOTIATED, Candidate): State.NEGOTIATED,  # trickle ICE, RFC 8838
    (State.READY, Bye): State.CLOSED,
    (State.NEGOTIATED, Bye): State.CLOSED,
    (State.WATCHING, Ping): State.WATCHING,
    (State.WATCHING, Bye): State.CLOSED,
    **{(state, kind): state for state in (State.READY, State.NEGOTIATED) for kind in _ALWAYS},
}


class Negotiation:
    """Holds the state; raises `ProtocolError` for a message that has no place in it."""

    def __init__(self) -> None:
        self.state = State.NEW

    def receive(self, message: ClientMessage) -> None:
        """Moves on with ``message``, or raises and stays where it was."""
        if isinstance(message, Hello) and message.protocol != PROTOCOL_VERSION:
            raise ProtocolError(
                ErrorCode.UNSUPPORTED_VERSION,
                f"protocol {message.protocol} is not spoken here; this server speaks {PROTOCOL_VERSION}",
                fatal=True,
            )
        following = _TRANSITIONS.get((self.state, type(message)))
        if following is None:
            raise self._unexpected(type(message).__name__.lower())
        is_watch = isinstance(message, Hello) and message.watch is not None
        self.state = State.WATCHING if is_watch else following

    def receive_frame(self) -> None:
        """Checks that a binary frame may come now."""
        if self.state not in (State.READY, State.NEGOTIATED):
            raise self._unexpected("frame")

    def answered(self) -> None:
        """The answer to the offer is on its way."""
        self.state = State.NEGOTIATED

    def kept(self) -> None:
        """The peer connection of an earlier conversation goes on."""
        self.state = State.NEGOTIATED

    def refused(self, *, earlier_stays: bool) -> None:
        """The offer is not answered; another may come. ``earlier_stays`` says whether the peer connection of
        an earlier offer goes on."""
        self.state = State.NEGOTIATED if earlier_stays else State.READY

    def close(self) -> None:
        """Nothing more is accepted."""
        self.state = State.CLOSED

    def _unexpected(self, what: str) -> ProtocolError:
        hint = "; say hello first" if self.state is State.NEW else ""
        return ProtocolError(
            ErrorCode.UNEXPECTED_MESSAGE,
            f"{what} has no place in state {self.state.name.lower()}{hint}",
            fatal=self.state is State.NEW,
        )
