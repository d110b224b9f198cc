"""Offers by WHIP that are too many, or no offers at all."""

from __future__ import annotations

from pathlib import Path

import aiohttp
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection

from tests.support.live_server import live_server
from tests.support.whip_client import offer_of

SDP = {"Content-Type": "application/sdp"}
FRAGMENT = {"Content-Type": "application/trickle-ice-sdpfrag"}


async def test_offers_have_a_rate(tiny_models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mediaserver.server.whip._OFFER_BURST", 2.0)
    async with live_server(tiny_models) as live, aiohttp.ClientSession(live.http_url) as http:
        answers = []
        for _ in range(4):
            async with http.post("/whip", data="v=0", headers=SDP) as response:
                answers.append((response.status, response.headers.get("Retry-After")))
        assert answers[:2] == [(406, None)] * 2
        assert answers[3] == (429, "2")


async def test_a_bad_offer_under_a_name_leaves_its_publisher_alone(tiny_models: Path) -> None:
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    peer.addTransceiver("video", direction="sendonly")
    offer = await offer_of(peer)
    await peer.close()
    async with live_server(tiny_models) as live, aiohttp.ClientSession(live.http_url) as http:
        async with http.post("/whip/door", data=offer, headers=SDP) as first:
            assert first.status == 201
        for bad in ("hello", "v=0", offer.replace("m=video", "m=audio")):
            async with http.post("/whip/door", data=bad, headers=SDP) as refused:
                assert refused.status in (400, 406), await refused.text()
        end = "a=end-of-candidates\r\n"
        async with http.patch(first.headers["Location"], data=end, headers=FRAGMENT) as patched:
            assert patched.status == 204, "it is still there"
