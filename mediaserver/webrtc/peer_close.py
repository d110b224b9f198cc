"""Ending an aiortc peer connection so that nothing of it stays."""

from __future__ import annotations

import asyncio
import logging

from aiortc import RTCPeerConnection

from mediaserver.webrtc.aiortc_seam import ice_transports, stop_consent_checks

_TIMEOUT_S = 2.0

logger = logging.getLogger(__name__)


async def close_peer_connection(connection: RTCPeerConnection) -> None:
    """Closes within a bounded time, also in the middle of connecting. Idempotent."""
    transports = ice_transports(connection)
    for transport in transports:
        stop_consent_checks(transport)
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            await connection.close()
    except TimeoutError:
        logger.warning("a peer connection did not close within %g s", _TIMEOUT_S)
        await asyncio.gather(*(transport.stop() for transport in transports))  # else their sockets would stay
