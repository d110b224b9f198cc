"""Two connected aiortc peers in one process: one sends a synthetic camera, the other receives it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from fractions import Fraction

import av
import numpy as np
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCRtpReceiver,
    RTCRtpSender,
    RTCSessionDescription,
)

from rendered_world import barcode
from tests.support.impairment import ImpairmentRelay

WIDTH, HEIGHT = 320, 240
BARCODE_HEIGHT = barcode.ROWS * 16


class BarcodeCamera(MediaStreamTrack):
    """Sends the Unix time in milliseconds at which each picture was made, as a barcode in its upper half;
    the lower half is moving noise, so that a frame takes several packets. No two have the same time, also
    where the camera catches up on a busy machine."""

    kind = "video"

    def __init__(self, fps: float) -> None:
        super().__init__()
        self._interval = 1 / fps
        self._start: float | None = None
        self._count = 0
        self._drawn_ms = 0
        self._noise = np.random.default_rng(1).integers(90, 160, (HEIGHT - BARCODE_HEIGHT, WIDTH), np.uint8)

    async def recv(self) -> av.VideoFrame:
        if self._start is None:
            self._start = time.time()
        await asyncio.sleep(self._start + self._count * self._interval - time.time())
        self._count += 1
        now = time.time()
        yuv = np.full((HEIGHT * 3 // 2, WIDTH), 128, np.uint8)
        self._drawn_ms = max(round(now * 1000), self._drawn_ms + 1)
        barcode.draw(yuv[:BARCODE_HEIGHT], self._drawn_ms)
        yuv[BARCODE_HEIGHT:HEIGHT] = np.roll(self._noise, self._count * 3, axis=1)
        frame = av.VideoFrame.from_ndarray(yuv, format="yuv420p")
        frame.pts = round((now - self._start) * 90_000)
        frame.time_base = Fraction(1, 90_000)
        return frame


def read_barcode(picture: av.VideoFrame) -> int | None:
    """The Unix milliseconds that `BarcodeCamera` drew into ``picture``."""
    return barcode.read(picture.to_ndarray()[:BARCODE_HEIGHT])


@asynccontextmanager
async def sending(
    camera: MediaStreamTrack,
    on_receiver: Callable[[RTCRtpReceiver], None],
    *,
    codec: str = "VP8",
    relay: ImpairmentRelay | None = None,
) -> AsyncIterator[None]:
    """Sends ``camera`` while the context is open. ``on_receiver`` is called in the ``track`` event."""
    sender = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    receiver = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    connected = asyncio.Event()

    @receiver.on("connectionstatechange")
    def check() -> None:
        if receiver.connectionState == "connected":
            connected.set()

    @receiver.on("track")
    def take(track: MediaStreamTrack) -> None:
        on_receiver(receiver.getTransceivers()[0].receiver)

    try:
        sender.addTrack(camera)
        codecs = [c for c in RTCRtpSender.getCapabilities("video").codecs if c.name in (codec, "rtx")]
        sender.getTransceivers()[0].setCodecPreferences(codecs)
        await sender.setLocalDescription(await sender.createOffer())
        offer = sender.localDescription.sdp
        await receiver.setRemoteDescription(
            RTCSessionDescription(relay.sdp_to_server(offer) if relay else offer, "offer")
        )
        await receiver.setLocalDescription(await receiver.createAnswer())
        answer = receiver.localDescription.sdp
        await sender.setRemoteDescription(
            RTCSessionDescription(relay.sdp_to_client(answer) if relay else answer, "answer")
        )
        async with asyncio.timeout(10):
            await connected.wait()
        yield
    finally:
        await sender.close()
        await receiver.close()
