"""A WHIP publisher (RFC 9725) on aiortc."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import aiohttp
import av
import numpy as np
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription, VideoStreamTrack

from tests.support.live_server import raw_socket
from tests.support.server_address import ServerAddress
from tests.support.waiting import eventually


class RedSquare(VideoStreamTrack):
    """What the tiny detector finds an object in, at 30 fps."""

    async def recv(self) -> av.VideoFrame:
        pts, time_base = await self.next_timestamp()
        picture = np.full((240, 320, 3), 90, np.uint8)
        picture[80:160, 100:180] = (255, 0, 0)
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts, frame.time_base = pts, Fraction(time_base)
        return frame


@dataclass
class WhipClient:
    http: aiohttp.ClientSession
    peer: RTCPeerConnection
    location: str
    """Path of the resource."""
    response: aiohttp.ClientResponse
    answer: str
    headers: dict[str, str] = field(default_factory=dict)
    results: list[str] = field(default_factory=list)
    """What came on the data channel, where one was asked for."""

    async def delete(self) -> int:
        async with self.http.delete(self.location, headers=self.headers) as response:
            return response.status


async def offer_of(peer: RTCPeerConnection) -> str:
    await peer.setLocalDescription(await peer.createOffer())
    return peer.localDescription.sdp


@contextlib.asynccontextmanager
async def whip_client(
    server: ServerAddress, path: str = "/whip", *, token: str | None = None, data_channel: bool = False
) -> AsyncIterator[WhipClient]:
    """Publishes a red square; connected when entered. On leaving it is gone without a word."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    results: list[str] = []
    try:
        peer.addTransceiver(RedSquare(), direction="sendonly")
        if data_channel:
            channel = peer.createDataChannel("results", ordered=False, maxRetransmits=0)
            channel.on("message", results.append)
        async with aiohttp.ClientSession(server.http_url) as http:
            body = await offer_of(peer)
            async with http.post(
                path, data=body, headers={**headers, "Content-Type": "application/sdp"}
            ) as response:
                answer = await response.text()
                assert response.status == 201, answer
            await peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))
            await eventually(lambda: peer.connectionState == "connected", 15)
            location = response.headers["Location"]
            yield WhipClient(http, peer, location, response, answer, headers, results)
    finally:
        with contextlib.suppress(ConnectionError):
            await peer.close()


@contextlib.asynccontextmanager
async def watching(
    server: ServerAddress, name: str, token: str | None = None
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """A socket that watches the stream or session ``name``, and was answered ``watching``."""
    async with raw_socket(server) as socket:
        await socket.send_json({"type": "hello", "watch": name, "token": token})
        assert (await socket.receive_json(timeout=5))["type"] == "watching"
        yield socket


async def next_of(socket: aiohttp.ClientWebSocketResponse, kind: str, **fields: object) -> dict[str, Any]:
    """The next message of that type with those fields; others are passed over."""
    async with asyncio.timeout(15):
        while True:
            message: dict[str, Any] = await socket.receive_json()
            if message["type"] == kind and fields.items() <= message.items():
                return message
