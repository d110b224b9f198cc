from __future__ import annotations

import asyncio

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection

from mediaserver.webrtc import peer_close
from mediaserver.webrtc.aiortc_seam.transports import ice_transports
from mediaserver.webrtc.peer_close import close_peer_connection


async def test_sockets_are_closed_also_where_aiortc_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer_close, "_TIMEOUT_S", 0.1)
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    receiver = connection.addTransceiver("video").receiver
    await connection.setLocalDescription(await connection.createOffer())
    receiver.stop = asyncio.Event().wait  # type: ignore[assignment]

    await close_peer_connection(connection)

    assert [transport.state for transport in ice_transports(connection)] == ["closed"]
