"""The SCTP transport of data channels."""

from __future__ import annotations

import time
from typing import Any

from aiortc import RTCSctpTransport
from aiortc.rtcsctptransport import Chunk, DataChunk, SackChunk
from aiortc.utils import uint32_gte

from mediaserver.webrtc.aiortc_seam.names import PARSE_ERRORS, Refuse, attribute
from mediaserver.webrtc.result_flow import ResultFlow
from mediaserver.webrtc.sctp_policy import SctpPolicy, Verdict, is_well_formed

_HANDLE_DATA = "_handle_data"
_RECEIVE_CHUNK = "_receive_chunk"
_MARK_RECEIVED = "_mark_received"
_SACK_NEEDED = "_sack_needed"
_SACK_MISORDERED = "_sack_misordered"
_LAST_RECEIVED_TSN = "_last_received_tsn"
_LOCAL_TSN = "_local_tsn"
_DATA_CHANNELS = "_data_channels"
_SEND = "_send"
_RECEIVE_SACK = "_receive_sack_chunk"
_UPDATE_RTO = "_update_rto"
_RTO = "_rto"
_T3_HANDLE = "_t3_handle"
_T3_EXPIRED = "_t3_expired"
_T3_CANCEL = "_t3_cancel"
_RTO_S = (0.4, 0.8)
"""Bounds of the retransmission timer.

Results are not retransmitted. The timer ends the wait for lost data, and probes the peer. aiortc itself lets
it grow to a minute, for which a restored path would stay unused.
"""


def guard_sctp(transport: RTCSctpTransport, policy: SctpPolicy, refuse: Refuse) -> None:
    """Applies ``policy`` to all chunks before aiortc handles them; see `mediaserver.webrtc.sctp_policy`.

    Raises `SeamMoved`.
    """
    handle, receive, mark = (
        attribute(transport, name) for name in (_HANDLE_DATA, _RECEIVE_CHUNK, _MARK_RECEIVED)
    )
    for name in (_SACK_NEEDED, _SACK_MISORDERED, _LAST_RECEIVED_TSN, _LOCAL_TSN, _DATA_CHANNELS):
        attribute(transport, name)
    refused = False

    async def handle_data(data: bytes) -> None:
        if refused or not is_well_formed(data):
            return
        try:
            await handle(data)
        except PARSE_ERRORS as exc:
            refuse(f"SCTP that cannot be parsed: {exc}")

    async def receive_chunk(chunk: Chunk) -> None:
        nonlocal refused
        verdict = policy.judge(
            chunk,
            next_tsn=getattr(transport, _LOCAL_TSN),
            misordered=len(getattr(transport, _SACK_MISORDERED)),
            channels=getattr(transport, _DATA_CHANNELS),
            came_before=isinstance(chunk, DataChunk) and _came_before(transport, chunk.tsn),
        )
        if refused:
            return
        if verdict is Verdict.PASS:
            await receive(chunk)
        elif verdict is Verdict.REFUSE:
            refused = True
            refuse("the data channel takes nothing but its opening and acknowledgements")
        elif isinstance(chunk, DataChunk):
            setattr(transport, _SACK_NEEDED, True)
            mark(chunk.tsn)

    setattr(transport, _HANDLE_DATA, handle_data)
    setattr(transport, _RECEIVE_CHUNK, receive_chunk)


def _came_before(transport: RTCSctpTransport, tsn: int) -> bool:
    last = getattr(transport, _LAST_RECEIVED_TSN)
    return last is not None and (uint32_gte(last, tsn) or tsn in getattr(transport, _SACK_MISORDERED))


def watch_flow(transport: RTCSctpTransport, flow: ResultFlow) -> None:
    """Reports sent and acknowledged messages to ``flow``. Raises `SeamMoved`."""
    for name in (_T3_HANDLE, _T3_EXPIRED, _T3_CANCEL):
        attribute(transport, name)
    send, receive_sack, update_rto = (
        attribute(transport, name) for name in (_SEND, _RECEIVE_SACK, _UPDATE_RTO)
    )
    attribute(transport, _RTO)

    def bound_rto() -> None:
        least, most = _RTO_S
        setattr(transport, _RTO, min(max(getattr(transport, _RTO), least), most))

    async def send_told(*arguments: Any, **named: Any) -> None:
        bound_rto()  # not before the first message, as the association needs more time to be established
        await send(*arguments, **named)
        flow.sent(getattr(transport, _LOCAL_TSN) - 1, time.monotonic())

    async def receive_sack_told(chunk: SackChunk) -> None:
        highest = chunk.cumulative_tsn + max((gap[1] for gap in chunk.gaps), default=0)
        flow.acknowledged(highest, time.monotonic())
        await receive_sack(chunk)

    def update_rto_bounded(round_trip_s: float) -> None:
        update_rto(round_trip_s)
        bound_rto()

    setattr(transport, _SEND, send_told)
    setattr(transport, _RECEIVE_SACK, receive_sack_told)
    setattr(transport, _UPDATE_RTO, update_rto_bounded)


def ask_again(transport: RTCSctpTransport) -> None:
    """Ends the wait for acknowledgements, and probes the peer as when the timer expires."""
    if getattr(transport, _T3_HANDLE) is not None:
        getattr(transport, _T3_CANCEL)()
        getattr(transport, _T3_EXPIRED)()
