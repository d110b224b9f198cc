"""SDP fragments of trickle ICE by HTTP."""

from __future__ import annotations

from signaling.codec import encode
from signaling.messages import Error, ProtocolError
from signaling.sdp_fragment import parse_fragment


def one_input(data: bytes) -> None:
    try:
        fragment = parse_fragment(data.decode(errors="replace"))
    except ProtocolError as error:
        encode(Error(error.code, error.message, error.fatal))
    else:
        assert len(fragment.candidates) <= 256
