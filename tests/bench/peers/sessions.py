"""One client for every server: it sends the clip, and knows how old each result is when it comes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.rtcrtpsender import RTCRtpSender

from tests.bench.peers.clip import FPS, LENGTH, Clip, ClipTrack
from tests.support.impairment import ImpairmentRelay


class Session:
    """What one client has sent and got."""

    def __init__(self) -> None:
        self.sent: list[float] = []
        """When each frame had been handed to the network, `time.perf_counter` seconds."""
        self.results: list[tuple[float, int]] = []
        """When each result came, and which frame it is of."""
        self._by_timestamp: dict[int, int] = {}

    def sends(self, datagram: bytes) -> None:
        """RTP: the marker is on the last packet of a frame (RFC 3550, 5.1; RTCP is 192 to 223, RFC 5761)."""
        if not 192 <= datagram[1] <= 223 and datagram[1] & 128:
            (timestamp,) = struct.unpack("!I", datagram[4:8])
            if timestamp not in self._by_timestamp:
                self._by_timestamp[timestamp] = len(self.sent)
                self.sent.append(time.perf_counter())

    def gets(self, text: str) -> None:
        """A result of any of the servers: it names its frame by RTP timestamp, or by the number drawn in."""
        message = json.loads(text)
        frame: int | None = None
        if "n" in message:
            newest = len(self.sent) - 1
            frame = newest - (newest - message["n"]) % LENGTH
        elif message.get("type") == "result":
            frame = self._by_timestamp.get(message["frame"]["rtp_timestamp"])
        if frame is not None and frame >= 0:
            self.results.append((time.perf_counter(), frame))


@contextlib.asynccontextmanager
async def serve_jpeg(http: aiohttp.ClientSession, url: str, clip: Clip) -> AsyncIterator[Session]:
    """Single pictures over a WebSocket."""
    session = Session()
    async with http.ws_connect(url + "/ws") as socket:

        async def send() -> None:
            began = time.monotonic()
            while True:
                number = len(session.sent)
                await asyncio.sleep(began + number / FPS - time.monotonic())
                session.sent.append(time.perf_counter())
                await socket.send_bytes(clip.jpegs[number % LENGTH])

        async def receive() -> None:
            async for message in socket:
                session.gets(message.data)

        async with _running(send(), receive()):
            yield session


@contextlib.asynccontextmanager
async def serve_webrtc(
    http: aiohttp.ClientSession, url: str, clip: Clip, peer: str, relay: ImpairmentRelay | None
) -> AsyncIterator[Session]:
    """Video by WebRTC; results by data channel, with FastRTC by server-sent events."""
    session, ours = Session(), peer.startswith("ours")
    connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    channel = connection.createDataChannel("results", ordered=False, maxRetransmits=0)
    channel.on("message", session.gets)
    sender = connection.addTransceiver(ClipTrack(clip, encodes=relay is not None), direction="sendonly")
    codecs = RTCRtpSender.getCapabilities("video").codecs
    sender.setCodecPreferences([codec for codec in codecs if codec.mimeType in ("video/VP8", "video/rtx")])
    _note_what_is_sent(sender.sender.transport, session)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(connection.close)
        await connection.setLocalDescription(await connection.createOffer())
        offer = connection.localDescription.sdp
        offer = offer if relay is None else relay.sdp_to_server(offer)
        if ours:
            answer = await stack.enter_async_context(_greeted(http, url, offer))
        else:
            name = uuid.uuid4().hex
            path = "/webrtc/offer" if peer == "fastrtc" else "/offer"
            body = {"sdp": offer, "type": "offer", "webrtc_id": name}
            async with http.post(url + path, json=body) as response:
                answer = (await response.json())["sdp"]
        answer = answer if relay is None else relay.sdp_to_client(answer)
        await connection.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        if peer == "fastrtc":
            await stack.enter_async_context(_running(_events(http, url, name, session)))
        yield session


@contextlib.asynccontextmanager
async def _greeted(http: aiohttp.ClientSession, url: str, offer: str) -> AsyncIterator[str]:
    """A session of ours, detection alone; gives the SDP answer."""
    async with http.ws_connect(url + "/ws/inference", max_msg_size=0) as socket:
        pipeline = {"detect": True, "pose": False, "ocr": False, "flow": False, "detect_threshold": 0.3}
        await socket.send_json({"type": "hello", "channel": "datachannel", "pipeline": pipeline})
        await socket.send_json({"type": "offer", "sdp": offer})
        while (message := await socket.receive_json())["type"] != "answer":
            pass

        async def read() -> None:
            async for _ in socket:
                pass

        async with _running(read()):
            yield message["sdp"]


async def _events(http: aiohttp.ClientSession, url: str, name: str, session: Session) -> None:
    await asyncio.sleep(0.3)
    async with http.get(f"{url}/begin/{name}"):
        pass
    timeout = aiohttp.ClientTimeout(None)
    async with http.get(f"{url}/outputs", params={"webrtc_id": name}, timeout=timeout) as response:
        async for line in response.content:
            if line.startswith(b"data: "):
                session.gets(line[6:].decode())


def _note_what_is_sent(transport: Any, session: Session) -> None:
    send = transport._send_rtp

    async def noted(datagram: bytes) -> None:
        await send(datagram)
        session.sends(datagram)

    transport._send_rtp = noted


@contextlib.asynccontextmanager
async def _running(*work: Any) -> AsyncIterator[None]:
    tasks = [asyncio.ensure_future(each) for each in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
