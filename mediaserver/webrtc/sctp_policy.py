"""Filters incoming SCTP: the opening of data channels, acknowledgements, and keep-alive pass.

The server sends results over a data channel, and needs no data in return. aiortc accepts any chunk. It keeps
fragments of messages without end, and searches all of them for each new fragment. It loops over gap blocks of
65 535 numbers, and forever over a parameter of length 0. So each packet is checked before aiortc handles it,
in time linear in its bytes.
"""

from __future__ import annotations

from collections.abc import Container
from enum import Enum, auto
from itertools import pairwise
from struct import unpack_from

from aiortc.rtcsctptransport import Chunk, DataChunk, ForwardTsnChunk, SackChunk

_COMMON_HEADER = 12
_CHUNK_HEADER = 4
_INIT, _INIT_ACK, _SACK, _SHUTDOWN, _FORWARD_TSN = 1, 2, 3, 7, 192
_WITH_PARAMETERS = {_INIT: 16, _INIT_ACK: 16, 4: 0, 5: 0, 6: 0, 9: 0, 130: 0}
"""Chunk types that end in parameters (RFC 9260 section 3.2.1), and the offset of these in the body."""
_SMALLEST_BODY = {0: 12, _SACK: 12, _SHUTDOWN: 4, _FORWARD_TSN: 4}
_RECONFIG = 130
_SMALLEST_RECONFIG = {13: 12, 16: 8, 17: 8}
"""Parameters of RE-CONFIG (RFC 6525 section 4) that aiortc reads."""

_WHOLE = 0x03
"""The flags B and E of a DATA chunk with a whole message."""
_DCEP = 50
_OPEN = 3
_OPEN_HEADER = 12
_MAX_LABEL_BYTES = 256
_MAX_OPENED = 16
"""Data channels that one peer may open in total. One is used."""
_MAX_UNNEEDED_BYTES = 4096
"""Bytes of unneeded data from one peer at most, with the chunks' headers.

A few messages are no attack. They are acknowledged, so that the client does not send them again, and
discarded.
"""
_MAX_MISORDERED = 64
"""Chunks that may be received out of order. aiortc sorts all of them for each chunk."""


class Verdict(Enum):
    """The treatment of a chunk."""

    PASS = auto()
    DISCARD = auto()
    """Discards the chunk, but acknowledges data."""
    REFUSE = auto()
    """Ends the peer connection, as the chunk is not allowed."""


def is_well_formed(packet: bytes) -> bool:
    """Whether aiortc can safely parse an SCTP packet (RFC 9260 section 3): all lengths are valid."""
    position, chunks, has_init = _COMMON_HEADER, 0, False
    if len(packet) < _COMMON_HEADER + _CHUNK_HEADER:
        return False
    while position <= len(packet) - _CHUNK_HEADER:
        kind, _, length = unpack_from("!BBH", packet, position)
        body = packet[position + _CHUNK_HEADER : position + length]
        if length < _CHUNK_HEADER or len(body) != length - _CHUNK_HEADER or not _body_is_sound(kind, body):
            return False
        chunks += 1
        has_init |= kind == _INIT
        position += length + -length % 4
    return not has_init or chunks == 1


def _body_is_sound(kind: int, body: bytes) -> bool:
    if kind in _WITH_PARAMETERS:
        return _parameters_are_sound(kind, body)
    if len(body) < _SMALLEST_BODY.get(kind, 0):
        return False
    if kind == _SACK:
        gaps, duplicates = unpack_from("!HH", body, 8)
        return len(body) == 12 + 4 * int(gaps + duplicates)
    return kind != _FORWARD_TSN or len(body) % 4 == 0


def _parameters_are_sound(kind: int, body: bytes) -> bool:
    position = _WITH_PARAMETERS[kind]
    if len(body) < position:
        return False
    while position <= len(body) - 4:
        parameter, length = unpack_from("!HH", body, position)
        if length < 4 or position + length > len(body):
            return False
        if kind == _RECONFIG and (length % 2 or length - 4 < _SMALLEST_RECONFIG.get(parameter, 0)):
            return False
        position += length + -length % 4
    return True


class SctpPolicy:
    """Judges the chunks of one peer, in the order of their arrival."""

    def __init__(self) -> None:
        self._opened = 0
        self._unneeded_bytes = 0

    def judge(
        self,
        chunk: Chunk,
        *,
        next_tsn: int,
        misordered: int,
        channels: Container[int],
        came_before: bool = False,
    ) -> Verdict:
        """Returns the verdict for a chunk.

        ``next_tsn`` is that of the next chunk to the peer. ``misordered`` is the number of chunks received
        out of order. ``channels`` are the stream identifiers of open data channels. ``came_before`` marks
        DATA that is retransmitted, as its acknowledgement was lost or late (RFC 9260 section 6.3.3). A
        repeated opening of a channel is then no fault.
        """
        match chunk:
            case DataChunk() if came_before:
                return Verdict.DISCARD
            case DataChunk():
                return Verdict.REFUSE if misordered > _MAX_MISORDERED else self._judge_data(chunk, channels)
            case SackChunk():
                return Verdict.PASS if _acknowledges_what_was_sent(chunk, next_tsn) else Verdict.REFUSE
            case ForwardTsnChunk():
                chunk.streams.clear()  # they concern ordered messages, which are not awaited here
        return Verdict.PASS

    def _judge_data(self, chunk: DataChunk, channels: Container[int]) -> Verdict:
        if chunk.protocol == _DCEP and chunk.flags & _WHOLE == _WHOLE:
            if not chunk.user_data or chunk.user_data[0] != _OPEN:
                return Verdict.PASS if chunk.stream_id in channels else Verdict.DISCARD
            self._opened += 1
            sound = _is_sound_open(chunk.user_data) and chunk.stream_id not in channels
            return Verdict.PASS if sound and self._opened <= _MAX_OPENED else Verdict.REFUSE
        self._unneeded_bytes += len(chunk.user_data) + _CHUNK_HEADER + _SMALLEST_BODY[0]
        return Verdict.DISCARD if self._unneeded_bytes <= _MAX_UNNEEDED_BYTES else Verdict.REFUSE


def _acknowledges_what_was_sent(chunk: SackChunk, next_tsn: int) -> bool:
    """Whether a SACK acknowledges only sent chunks.

    Gap blocks list received chunks after the cumulative TSN, ascending (RFC 9260 section 3.3.4).
    """
    outstanding = (next_tsn - 1 - chunk.cumulative_tsn) % (1 << 32)
    edges = [0, *(edge for gap in chunk.gaps for edge in gap)]
    ascending = all(before <= after for before, after in pairwise(edges))
    return outstanding < 1 << 31 and ascending and edges[-1] <= outstanding


def _is_sound_open(data: bytes) -> bool:
    """Whether a DATA_CHANNEL_OPEN message is valid (RFC 8832 section 5.1)."""
    if len(data) < _OPEN_HEADER:
        return False
    label_bytes, protocol_bytes = unpack_from("!HH", data, 8)
    if label_bytes + protocol_bytes > min(_MAX_LABEL_BYTES, len(data) - _OPEN_HEADER):
        return False
    try:
        data[_OPEN_HEADER : _OPEN_HEADER + label_bytes].decode()
        data[_OPEN_HEADER + label_bytes : _OPEN_HEADER + label_bytes + protocol_bytes].decode()
    except UnicodeDecodeError:
        return False
    return True
