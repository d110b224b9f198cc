"""Ending an aiortc peer connection so that nothing of it stays."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from aiortc import RTCPeerConnection

_TIMEOUT_S = 2.0

logger = logging.getLogger(__name__)


async def close_peer_connection(connection: RTCPeerConnection) -> None:
    """Closes within a bounded time, also in the middle of connecting. Idempotent.

    aioice, when it is closed while its checks succeed, starts its consent checks (RFC 7675) afterwards. With
    nothing left to check they never end. So the checks of a closing connection end at once.
    """
    for ice in _ice_connections(connection):
        ice.query_consent = _no_checks
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            await connection.close()
    except TimeoutError:
        logger.warning("a peer connection did not close within %g s", _TIMEOUT_S)


async def _no_checks() -> None: ...


def _ice_connections(connection: RTCPeerConnection) -> list[Any]:
    transports = [transceiver.receiver.transport for transceiver in connection.getTransceivers()]
    if connection.sctp is not None:
        transports.append(connection.sctp.transport)
    return [transport.transport.iceGatherer._connection for transport in transports]
