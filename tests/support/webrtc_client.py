"""A client of a server, on aiortc without ours around it: for what no well-meaning client does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from struct import pack
from typing import Any

import aiohttp
from aiortc import RTCConfiguration, RTCDataChannel, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.rtcsctptransport import Chunk, DataChunk, tsn_plus_one
from google_crc32c import value as crc32c

from tests.support.live_server import raw_socket
from tests.support.server_address import ServerAddress


@dataclass
class WebrtcClient:
    socket: aiohttp.ClientWebSocketResponse
    peer: RTCPeerConnection
    channel: RTCDataChannel
    sender: RTCRtpSender
    answer: str
    messages: list[dict[str, Any]] = field(default_factory=list)
    """What came on the socket after the answer, but results."""

    @property
    def end_reason(self) -> str | None:
        """Why the server ended the connection, if it did."""
        closing = [message for message in self.messages if message["type"] == "closing"]
        return closing[0]["reason"] if closing else None

    @property
    def states(self) -> list[str]:
        """What the server told of itself, and of the frames."""
        return [message["state"] for message in self.messages if message.get("event") == "state"]

    def cut(self) -> None:
        """Closes the ways of its media without a word; the socket stays."""
        ice: Any = self.sender.transport.transport
        for protocol in ice._connection._protocols:
            protocol.transport.close()

    @property
    def payload_type(self) -> int:
        """That of VP8."""
        [line] = [line for line in self.answer.splitlines() if line.startswith("a=rtpmap") and "VP8" in line]
        return int(line.split(":")[1].split()[0])

    def data(self, user_data: bytes, *, flags: int, protocol: int = 53) -> DataChunk:
        """The next DATA chunk of the channel."""
        transport: Any = self.peer.sctp
        chunk = DataChunk(flags=flags)
        chunk.tsn, transport._local_tsn = transport._local_tsn, tsn_plus_one(transport._local_tsn)
        chunk.stream_id, chunk.protocol, chunk.user_data = self.channel.id or 0, protocol, user_data
        return chunk

    def hears_nothing(self) -> None:
        """Of what comes over SCTP."""

        async def ignore(chunk: Chunk) -> None: ...

        transport: Any = self.peer.sctp
        transport._receive_chunk = ignore

    async def send_sctp(self, *chunks: Chunk | bytes) -> None:
        """One SCTP packet with these chunks."""
        transport: Any = self.peer.sctp
        header = pack(
            "!HHL", transport._local_port, transport._remote_port, transport._remote_verification_tag
        )
        body = b"".join(map(bytes, chunks))
        packet = header + pack("<L", crc32c(header + bytes(4) + body)) + body
        await transport.transport._send_data(packet)

    async def send_rtp(self, packet: bytes) -> None:
        """One RTP packet."""
        transport: Any = self.sender.transport
        await transport._send_rtp(packet)

    async def _read(self) -> None:
        async for message in self.socket:
            content = message.json()
            if content["type"] != "result":
                self.messages.append(content)


@contextlib.asynccontextmanager
async def webrtc_client(server: ServerAddress) -> AsyncIterator[WebrtcClient]:
    """Connected, with an open data channel, and sending nothing."""
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    try:
        async with raw_socket(server) as socket:
            await socket.send_json({"type": "hello", "channel": "websocket"})
            await socket.receive_json(timeout=10)
            sender = peer.addTransceiver("video", direction="sendonly").sender
            channel = peer.createDataChannel("results", ordered=False, maxRetransmits=0)
            opened = asyncio.Event()
            channel.on("open", opened.set)
            await peer.setLocalDescription(await peer.createOffer())
            await socket.send_json({"type": "offer", "sdp": peer.localDescription.sdp})
            answer = (await socket.receive_json(timeout=10))["sdp"]
            await peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))
            async with asyncio.timeout(15):
                await opened.wait()
            client = WebrtcClient(socket, peer, channel, sender, answer)
            reading = asyncio.create_task(client._read())
            try:
                yield client
            finally:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)
    finally:
        with contextlib.suppress(ConnectionError):
            await peer.close()
