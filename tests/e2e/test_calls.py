"""Offers with more in them than one camera, from a client that is not ours."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from aiortc import (
    AudioStreamTrack,
    RTCBundlePolicy,
    RTCConfiguration,
    RTCPeerConnection,
    RTCSessionDescription,
)

from tests.support.live_server import live_server, raw_socket
from tests.support.peer_pair import BarcodeCamera

RESULTS = 10


@pytest.mark.parametrize(
    ("bundle", "policy"),
    [
        (True, RTCBundlePolicy.MAX_BUNDLE),
        (False, RTCBundlePolicy.MAX_COMPAT),
        (False, RTCBundlePolicy.BALANCED),
    ],
)
async def test_the_camera_of_a_call_is_received_though_it_comes_third(
    tiny_models: Path, bundle: bool, policy: RTCBundlePolicy
) -> None:
    """Balanced and with BUNDLE aiortc leaves its own camera behind (aiortc/aiortc#1414)."""
    client = RTCPeerConnection(RTCConfiguration(iceServers=[], bundlePolicy=policy))
    try:
        client.addTransceiver(AudioStreamTrack(), direction="sendrecv")
        client.addTransceiver("video", direction="recvonly")
        client.addTransceiver(BarcodeCamera(30), direction="sendonly")
        client.createDataChannel("results")
        await client.setLocalDescription(await client.createOffer())
        offer = client.localDescription.sdp
        if not bundle:
            offer = re.sub("a=group:BUNDLE.*\r\n", "", offer)
        async with live_server(tiny_models) as live, raw_socket(live) as socket:
            await socket.send_json({"type": "hello", "channel": "websocket"})
            await socket.send_json({"type": "offer", "sdp": offer})
            results = 0
            async with asyncio.timeout(30):
                while results < RESULTS:
                    message = await socket.receive_json()
                    if message["type"] == "answer":
                        answer = RTCSessionDescription(message["sdp"], "answer")
                        await client.setRemoteDescription(answer)
                    assert message["type"] not in ("error", "closing"), message
                    results += message["type"] == "result"
    finally:
        await client.close()


async def test_offers_without_names_of_sections_are_answered_without(tiny_models: Path) -> None:
    """As before BUNDLE and trickle ICE were (RFC 5888)."""
    client = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    try:
        client.addTransceiver(BarcodeCamera(30), direction="sendonly")
        client.createDataChannel("results")
        await client.setLocalDescription(await client.createOffer())
        offer = re.sub("a=(group|mid|extmap).*\r\n", "", client.localDescription.sdp)
        async with live_server(tiny_models) as live, raw_socket(live) as socket:
            await socket.send_json({"type": "hello", "channel": "websocket"})
            await socket.receive_json(timeout=5)
            await socket.send_json({"type": "offer", "sdp": offer})
            answer = (await socket.receive_json(timeout=5))["sdp"]
        assert "a=mid" not in answer
        assert "a=group" not in answer
        assert [line.split()[0] for line in answer.splitlines() if line.startswith("m=")] == [
            "m=video",
            "m=application",
        ]
    finally:
        await client.close()
