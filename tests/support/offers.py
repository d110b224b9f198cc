"""What clients offer."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from aiortc import RTCConfiguration, RTCPeerConnection, VideoStreamTrack

from mediaserver.webrtc.peer_close import close_peer_connection


async def video_offer() -> str:
    """The SDP of a client that sends one video track."""
    client = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    client.addTransceiver("video", direction="sendonly")
    try:
        return (await client.createOffer()).sdp
    finally:
        await client.close()


@contextlib.asynccontextmanager
async def offering() -> AsyncIterator[RTCPeerConnection]:
    """A peer connection that has an offer."""
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    try:
        peer.addTransceiver(VideoStreamTrack(), direction="sendonly")
        peer.createDataChannel("results")
        await peer.setLocalDescription(await peer.createOffer())
        yield peer
    finally:
        await close_peer_connection(peer)
