"""Closes a peer connection of aiortc without leaving tasks, sockets or reference cycles."""

from __future__ import annotations

import asyncio
import logging

from aiortc import RTCPeerConnection

from mediaserver.webrtc.aiortc_seam.ice import stop_consent_checks
from mediaserver.webrtc.aiortc_seam.release import release
from mediaserver.webrtc.aiortc_seam.transports import ice_transports

_TIMEOUT_S = 2.0

logger = logging.getLogger(__name__)


async def close_peer_connection(connection: RTCPeerConnection) -> None:
    """Closes the connection within a bounded time, even while it is connecting. Idempotent."""
    transports = ice_transports(connection)
    for transport in transports:
        stop_consent_checks(transport)
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            await connection.close()
    except TimeoutError:
        logger.warning("a peer connection did not close within %g s", _TIMEOUT_S)
        await asyncio.gather(*(transport.stop() for transport in transports))  # closes their sockets
    release(connection)
