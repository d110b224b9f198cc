"""Messages on ``/ws/inference`` from and to JSON text."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from signaling.messages import (
    Answer,
    Candidate,
    ClientMessage,
    Closing,
    Error,
    ErrorCode,
    Event,
    Pong,
    ProtocolError,
    Rate,
    Result,
    ServerMessage,
    Watching,
    Welcome,
)


class _AnyEvent(Struct, tag="event", tag_field="type"):
    """Events have one ``type`` and are told apart by ``event``."""


_BY_TYPE = Welcome | Watching | Answer | Candidate | Result | _AnyEvent | Rate | Pong | Error | Closing

_encode = msgspec.json.Encoder().encode
_client_decoder: msgspec.json.Decoder[ClientMessage] = msgspec.json.Decoder(ClientMessage)
_server_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(_BY_TYPE)
_event_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)


def encode(message: ClientMessage | ServerMessage) -> str:
    """JSON text of any message."""
    return _encode(message).decode()


def decode_client(text: str | bytes) -> ClientMessage:
    """Parses what a client sent; raises `ProtocolError` with a message fit to send back."""
    try:
        return _client_decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise _refused(exc) from exc


def decode_server(text: str | bytes) -> ServerMessage:
    """Parses what a server sent; raises `ProtocolError`."""
    try:
        message: ServerMessage | _AnyEvent = _server_decoder.decode(text)
        return _event_decoder.decode(text) if isinstance(message, _AnyEvent) else message
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise _refused(exc) from exc


def _refused(exc: Exception) -> ProtocolError:
    words = str(exc)
    unknown_type = words.startswith("Invalid value") and words.endswith("- at `$.type`")
    code = ErrorCode.UNKNOWN_TYPE if unknown_type else ErrorCode.BAD_MESSAGE
    return ProtocolError(code, words[:200] or type(exc).__name__)
