"""Pictures with damage in their coded data, which decoders complain of, or decode to something."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from fractions import Fraction
from typing import Literal

import av
import cv2
import numpy as np
from aiortc import MediaStreamTrack

_DAMAGE = 6
"""Bytes of each picture."""
_FRAMERATE = 30


def damaged_jpegs(count: int) -> Iterator[bytes]:
    """With headers as they should be."""
    rng = np.random.default_rng(1)
    good = bytes(cv2.imencode(".jpg", rng.integers(0, 255, (240, 320, 3), np.uint8))[1])
    scan = good.index(b"\xff\xda") + 20
    for _ in range(count):
        yield _damage(good, scan, rng)


class DamagedCamera(MediaStreamTrack):
    """Encoded video, nine tenths of whose frames are damaged; aiortc sends packets as they are."""

    kind = "video"

    def __init__(self, encoder: Literal["libvpx", "libx264"]) -> None:
        super().__init__()
        self._rng = np.random.default_rng(1)
        self._encoder = av.VideoCodecContext.create(encoder, "w")
        self._encoder.width, self._encoder.height, self._encoder.pix_fmt = 320, 240, "yuv420p"
        self._encoder.time_base = Fraction(1, _FRAMERATE)
        self._encoder.bit_rate = 2_000_000
        self._encoder.gop_size = 10
        self._encoder.max_b_frames = 0
        self._encoder.options = {"tune": "zerolatency"} if encoder == "libx264" else {"lag-in-frames": "0"}
        self.sent = 0

    async def recv(self) -> av.Packet:
        await asyncio.sleep(1 / _FRAMERATE)
        noise = self._rng.integers(0, 255, (360, 320), np.uint8)
        picture = av.VideoFrame.from_ndarray(noise, format="yuv420p")
        picture.pts = self.sent
        (encoded,) = self._encoder.encode(picture)
        data = bytes(encoded)
        packet = av.Packet(data if self.sent % 10 == 0 else _damage(data, 40, self._rng))
        packet.pts, packet.time_base = self.sent, Fraction(1, _FRAMERATE)
        self.sent += 1
        return packet


def _damage(data: bytes, start: int, rng: np.random.Generator) -> bytes:
    """Leaves what stands before ``start``, and the last two bytes. Adds no marker, which begins with FF."""
    damaged = bytearray(data)
    for position in rng.integers(start, len(data) - 2, _DAMAGE):
        damaged[position] = rng.integers(0, 0xFE)
    return bytes(damaged)
