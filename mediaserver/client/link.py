"""One attempt of the Python client: one WebSocket, one peer connection."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TypeVar

import aiohttp
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription

from mediaserver.client.bitrate import BitrateCap
from mediaserver.client.errors import ClientError, Refused, Unreachable
from mediaserver.client.relay import ice_configuration, relay_failure
from mediaserver.webrtc.ice_gathering import gathered_addresses, limit_gathering
from mediaserver.webrtc.peer_close import close_peer_connection
from signaling.messages import (
    MAX_JPEG_BYTES,
    Answer,
    Bye,
    ClientMessage,
    Closing,
    EndReason,
    Error,
    ErrorCode,
    Hello,
    IceServer,
    Offer,
    ProtocolError,
    Result,
    ResultChannel,
    ServerMessage,
    Welcome,
    decode_server,
    encode,
)

_HANDSHAKE_TIMEOUT_S = 10.0
_MEDIA_TIMEOUT_S = 10.0
_HEARTBEAT_S = 2.0
_OFFER_REFUSED = frozenset({ErrorCode.BAD_SDP, ErrorCode.NO_VIDEO, ErrorCode.UNSUPPORTED_CODEC})

M = TypeVar("M")


class Link:
    """Signaling and media of one connection. ``on_message`` gets what is not part of the set-up.
    With ``relay_only`` media takes no other way than the TURN server that the server names.

    Use ``open``, then ``read`` in a task of the caller's, then `offer`; after `end_media` another offer may
    follow. `close` releases everything.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        url: str,
        on_message: Callable[[ServerMessage], None],
        *,
        relay_only: bool,
    ) -> None:
        self._http = http
        self._url = url
        self._on_message = on_message
        self._relay_only = relay_only
        self._ice_servers: list[IceServer] = []
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._peer: RTCPeerConnection | None = None
        self._bitrate_cap: BitrateCap | None = None
        self._answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def open(self, hello: Hello) -> Welcome:
        """Connects and says hello. Raises `Unreachable` or `Refused`."""
        try:
            async with asyncio.timeout(_HANDSHAKE_TIMEOUT_S):
                self._socket = await self._http.ws_connect(
                    self._url, heartbeat=_HEARTBEAT_S, max_msg_size=4 * MAX_JPEG_BYTES
                )
                await self.send(hello)
                first = await self._receive()
        except aiohttp.WSServerHandshakeError as exc:
            raise _handshake_error(self._url, exc) from exc
        except (aiohttp.ClientError, OSError, TimeoutError) as exc:
            raise Unreachable(f"{self._url}: no server answers ({str(exc) or 'timed out'})") from exc
        if isinstance(first, Error):
            raise Refused(f"{self._url}: {first.message} ({first.code})")
        if isinstance(first, Closing):
            raise _turned_away(self._url, first)
        if not isinstance(first, Welcome):
            raise Unreachable(f"{self._url}: the server did not welcome this client")
        self._ice_servers = first.ice_servers
        return first

    async def read(self) -> Closing:
        """Hands out messages until the end; says how it ended."""
        closing = Closing(EndReason.CLIENT_GONE, retry_after_s=0.0)
        while (message := await self._receive()) is not None:
            match message:
                case Answer():
                    _settle(self._answer, message.sdp)
                case Error() if message.code in _OFFER_REFUSED and not self._answer.done():
                    self._answer.set_exception(Refused(f"{message.message} ({message.code})"))
                case Closing():
                    closing = message
                case _:
                    self._on_message(message)
        if not self._answer.done():
            self._answer.set_exception(Unreachable("the connection was lost before the answer"))
        self._answer.exception()  # an answer that nobody waits for is no error
        return closing

    async def offer(self, track: MediaStreamTrack, channel: ResultChannel, framerate: float) -> None:
        """Negotiates a peer connection that sends ``track``, and waits until media can flow. ``framerate`` is
        what the track gives when nothing holds it back.

        Raises `Refused` or `Unreachable`.
        """
        configuration = ice_configuration(self._ice_servers, relay_only=self._relay_only)
        peer = self._peer = RTCPeerConnection(configuration)
        self._bitrate_cap = BitrateCap(peer.addTransceiver(track, direction="sendonly").sender)
        if channel is ResultChannel.DATACHANNEL:
            results = peer.createDataChannel("results", ordered=False, maxRetransmits=0)
            results.on("message", self._on_data)
        connected = asyncio.Event()
        peer.on("connectionstatechange", lambda: _signal_settled(peer, connected))
        if not self._relay_only:  # which gathers on no address of this machine
            limit_gathering(peer, gathered_addresses(()))
        await peer.setLocalDescription(await peer.createOffer())
        if self._relay_only and " typ relay" not in peer.localDescription.sdp:
            raise await relay_failure(configuration)
        await self.send(Offer(peer.localDescription.sdp, framerate))
        await peer.setRemoteDescription(RTCSessionDescription(await self._answer, "answer"))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_MEDIA_TIMEOUT_S):
                await connected.wait()
        if peer.connectionState != "connected":
            raise Unreachable(f"{self._url}: no media path (UDP blocked?); --channel jpeg needs none")

    def limit_bitrate(self, max_bitrate: int) -> None:
        """The video takes no more bits per second than this, from the next frame on."""
        if self._bitrate_cap is not None:
            self._bitrate_cap.max_bitrate = max_bitrate

    def hold_bitrate(self) -> None:
        """Call before each frame; see `BitrateCap`."""
        if self._bitrate_cap is not None:
            self._bitrate_cap.hold()

    async def send(self, message: ClientMessage) -> None:
        """Sends a message; raises `Unreachable` when the socket is gone."""
        await self._sending(self._open_socket().send_str(encode(message)))

    async def send_jpeg(self, data: bytes) -> None:
        """Sends one JPEG frame; raises `Unreachable` when the socket is gone."""
        await self._sending(self._open_socket().send_bytes(data))

    async def end_media(self) -> None:
        """Closes the peer connection; the socket stays. Idempotent."""
        if self._peer is not None:
            peer, self._peer = self._peer, None
            self._answer = asyncio.get_running_loop().create_future()
            await close_peer_connection(peer)

    async def close(self) -> None:
        """Says goodbye where that is possible and releases everything. Idempotent."""
        await self.end_media()
        if self._socket is not None:
            socket, self._socket = self._socket, None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(2.0):
                    with contextlib.suppress(ConnectionError, aiohttp.ClientError):
                        await socket.send_str(encode(Bye()))
                    # Also where nobody is left to say goodbye to: it frees the connection.
                    await socket.close()

    def _on_data(self, data: str | bytes) -> None:
        with contextlib.suppress(ProtocolError):
            message = decode_server(data)
            if isinstance(message, Result):
                self._on_message(message)

    async def _receive(self) -> ServerMessage | None:
        """The next message that this client knows; ``None`` at the end."""
        socket = self._open_socket()
        while True:
            frame = await socket.receive()
            if frame.type is not aiohttp.WSMsgType.TEXT:
                return None
            # A newer server may send types that this client does not know.
            with contextlib.suppress(ProtocolError):
                return decode_server(frame.data)

    def _open_socket(self) -> aiohttp.ClientWebSocketResponse:
        if self._socket is None:
            raise Unreachable(f"{self._url}: not connected")
        return self._socket

    async def _sending(self, sending: Awaitable[None]) -> None:
        try:
            await sending
        except (ConnectionError, aiohttp.ClientError) as exc:
            raise Unreachable(f"{self._url}: the connection was lost") from exc


def _signal_settled(peer: RTCPeerConnection, settled: asyncio.Event) -> None:
    if peer.connectionState in ("connected", "failed", "closed"):
        settled.set()


def _settle(future: asyncio.Future[M], value: M) -> None:
    if not future.done():
        future.set_result(value)


def _turned_away(url: str, closing: Closing) -> ClientError:
    """In place of ``welcome``."""
    if closing.retry_after_s is None:
        return Refused(f"{url}: the server lets nobody in: {closing.reason}")
    seconds = closing.retry_after_s
    return Unreachable(f"{url}: no session now ({closing.reason}); try again in {seconds:g} s", seconds)


def _handshake_error(url: str, exc: aiohttp.WSServerHandshakeError) -> ClientError:
    if exc.status == 503:
        retry_after = exc.headers.get("Retry-After", "") if exc.headers else ""
        seconds = float(retry_after) if retry_after.isdigit() else 1.0
        return Unreachable(f"{url}: the server takes no one now; try again in {seconds:g} s", seconds)
    return Refused(f"{url}: the server answered {exc.status} {exc.message}")
