"""Attacks on a server, by name. Each goes on for so many seconds at the address that it is given.

``python -m tests.support.attacks NAME SOCKET_URL SECONDS`` is one of them in a process of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

import aiohttp
import av
import cv2
import numpy as np
from aiortc import RTCConfiguration, RTCPeerConnection
from aiortc.rtp import RtpPacket

from tests.support.webrtc_attacks import MEDIA_ATTACKS, SCTP_ATTACKS
from tests.support.webrtc_attacks import Attack as WebrtcAttack
from tests.support.webrtc_client import webrtc_client

Attack: TypeAlias = Callable[[str, float], Awaitable[None]]
_MTU = 1100


@dataclass(frozen=True, slots=True)
class _Address:
    socket_url: str


async def harmless(url: str, seconds: float) -> None:
    """Takes a processor and does nothing to the server: what attacks are compared with."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        sum(range(10_000))
        await asyncio.sleep(0)


def _over_webrtc(attack: WebrtcAttack) -> Attack:
    async def run(url: str, seconds: float) -> None:
        async with webrtc_client(_Address(url)) as client:  # type: ignore[arg-type]
            await attack(client, seconds)

    return run


async def _many(
    url: str, seconds: float, count: int, one: Callable[[aiohttp.ClientSession], Awaitable[None]]
) -> None:
    """``count`` clients, each begun again whenever it ends, for so long."""

    async def again(http: aiohttp.ClientSession) -> None:
        while True:
            with contextlib.suppress(
                aiohttp.ClientError, ConnectionError, TimeoutError, TypeError, ValueError
            ):
                await one(http)
            await asyncio.sleep(0.05)

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        clients = [asyncio.create_task(again(http)) for _ in range(count)]
        await asyncio.sleep(seconds)
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)


async def sockets_without_hello(url: str, seconds: float) -> None:
    async def one(http: aiohttp.ClientSession) -> None:
        async with http.ws_connect(url) as socket:
            while (await socket.receive()).type is aiohttp.WSMsgType.TEXT:
                pass

    await _many(url, seconds, 200, one)


async def reconnects(url: str, seconds: float) -> None:
    async def one(http: aiohttp.ClientSession) -> None:
        async with http.ws_connect(url) as socket:
            await socket.send_json({"type": "hello"})
            await socket.receive_json(timeout=5)
        await asyncio.sleep(0.2)

    await _many(url, seconds, 5, one)


def _jpeg_attack(
    make: Callable[[], bytes],
    *,
    detect: bool = False,
    ocr: bool = False,
    reads: bool = True,
    count: int = 4,
) -> Attack:
    """``count`` sessions, each with seven such pictures a second."""

    async def run(url: str, seconds: float) -> None:
        data = await asyncio.to_thread(make)

        async def one(http: aiohttp.ClientSession) -> None:
            async with http.ws_connect(url, max_msg_size=0) as socket:
                pipeline = {"detect": detect, "pose": False, "ocr": ocr, "ocr_min_interval_s": 0.2}
                hello = {"type": "hello", "channel": "websocket", "pipeline": pipeline}
                await socket.send_json(hello)
                await socket.receive_json(timeout=10)
                reading = asyncio.create_task(_drain(socket)) if reads else None
                try:
                    while not socket.closed:
                        if ocr:
                            await socket.send_json({"type": "trigger"})
                        await socket.send_bytes(data)
                        await asyncio.sleep(0.15)
                finally:
                    if reading is not None:
                        reading.cancel()

        await _many(url, seconds, count, one)

    return run


async def _drain(socket: aiohttp.ClientWebSocketResponse) -> None:
    async for _ in socket:
        pass


def _gray() -> bytes:
    picture = np.full((4096, 4096), 120, np.uint8)
    return bytes(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 10])[1])


def _progressive() -> bytes:
    picture = np.full((4096, 4096, 3), 120, np.uint8)
    options = [cv2.IMWRITE_JPEG_QUALITY, 30, cv2.IMWRITE_JPEG_PROGRESSIVE, 1]
    return bytes(cv2.imencode(".jpg", picture, options)[1])


def _full_hd() -> bytes:
    rng = np.random.default_rng(1)
    picture = cv2.resize(rng.integers(0, 255, (270, 480, 3), np.uint8), (1920, 1080))
    return bytes(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 60])[1])


def _dense_text() -> bytes:
    page = np.full((1080, 1920), 255, np.uint8)
    for row in range(30):
        text = "A LONG LINE OF TEXT 0123456789 ABCDEFGHIJ KLMNOP"
        cv2.putText(page, text, (10, 34 + row * 35), cv2.FONT_HERSHEY_SIMPLEX, 1.1, 0, 3)
    return bytes(cv2.imencode(".jpg", page, [cv2.IMWRITE_JPEG_QUALITY, 30])[1])


def _small() -> bytes:
    return bytes(cv2.imencode(".jpg", np.full((240, 320, 3), 90, np.uint8))[1])


def _large_keyframe(width: int, height: int) -> bytes:
    """VP8; the sides are multiples of 64."""
    encoder = av.CodecContext.create("libvpx", "w")
    encoder.width, encoder.height = width, height
    encoder.pix_fmt, encoder.options = "yuv420p", {"deadline": "realtime", "cpu-used": "8"}
    encoder.time_base = Fraction(1, 30)
    noise = np.random.default_rng(1).integers(0, 255, (64, 64), np.uint8)
    frame = av.VideoFrame.from_ndarray(np.tile(noise, (height * 3 // 2 // 64, width // 64)), format="yuv420p")
    frame.pts = 0
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])


async def large_keyframes(url: str, seconds: float) -> None:
    """As large as is taken: four sessions, each with ten of them a second."""
    await _keyframes(url, seconds, 4096, 2304)


async def keyframes_too_large(url: str, seconds: float) -> None:
    """The same of a size that is refused."""
    await _keyframes(url, seconds, 4096, 4096)


async def _keyframes(url: str, seconds: float, width: int, height: int) -> None:
    data = await asyncio.to_thread(_large_keyframe, width, height)
    parts = [data[at : at + _MTU] for at in range(0, len(data), _MTU)]

    async def one() -> None:
        async with webrtc_client(_Address(url)) as client:  # type: ignore[arg-type]
            number, until = 0, time.monotonic() + seconds
            for frame in range(10_000):
                for index, part in enumerate(parts):
                    packet = RtpPacket(
                        payload_type=client.payload_type,
                        marker=int(index == len(parts) - 1),
                        sequence_number=number & 0xFFFF,
                        timestamp=3000 * frame,
                        ssrc=client.sender._ssrc,
                        payload=(b"\x10" if index == 0 else b"\x00") + part,
                    )
                    await client.send_rtp(packet.serialize())
                    number += 1
                await asyncio.sleep(0.1)
                if time.monotonic() > until:
                    return

    await asyncio.gather(*(one() for _ in range(4)), return_exceptions=True)


async def offers_again_and_again(url: str, seconds: float) -> None:
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    peer.addTransceiver("video", direction="sendonly")
    peer.createDataChannel("results")
    sdp = (await peer.createOffer()).sdp
    await peer.close()

    async def one(http: aiohttp.ClientSession) -> None:
        async with http.ws_connect(url) as socket:
            await socket.send_json({"type": "hello"})
            await socket.receive_json(timeout=5)
            while not socket.closed:
                await socket.send_json({"type": "offer", "sdp": sdp})
                await socket.receive(timeout=5)

    await _many(url, seconds, 4, one)


ATTACKS: dict[str, Attack] = {
    **{attack.__name__: _over_webrtc(attack) for attack in (*SCTP_ATTACKS, *MEDIA_ATTACKS)},
    "sockets_without_hello": sockets_without_hello,
    "reconnects": reconnects,
    "slow_readers": _jpeg_attack(_small, detect=True, reads=False, count=20),
    "jpeg_4096_gray": _jpeg_attack(_gray),
    "jpeg_4096_progressive": _jpeg_attack(_progressive),
    "jpeg_full_hd": _jpeg_attack(_full_hd),
    "jpeg_full_hd_with_detection": _jpeg_attack(_full_hd, detect=True),
    "four_more_sessions": _jpeg_attack(_small, detect=True),
    "ocr_dense_text": _jpeg_attack(_dense_text, ocr=True),
    "ocr_dense_text_12": _jpeg_attack(_dense_text, ocr=True, count=12),
    "large_keyframes": large_keyframes,
    "keyframes_too_large": keyframes_too_large,
    "offers_again_and_again": offers_again_and_again,
}
"""By name."""


if __name__ == "__main__":
    asyncio.run({"harmless": harmless, **ATTACKS}[sys.argv[1]](sys.argv[2], float(sys.argv[3])))
