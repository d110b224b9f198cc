"""The clip that all peers get: frames with their number drawn in, as packets, as pictures or as JPEG."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from aiortc import VideoStreamTrack

FPS = 30
LENGTH = 600
"""Frames. Their number has 10 bits, as `servers/detector.py` reads it."""
_SIZE = (640, 480)
_BITS = 10


def _numbered(picture: np.ndarray, number: int) -> np.ndarray:
    width, height = _SIZE
    image = cv2.resize(picture, _SIZE, interpolation=cv2.INTER_AREA)
    row = int(height * 0.95)
    for bit in range(_BITS):
        column, white = int(width * (0.08 + 0.08 * bit)), 255 * (number >> bit & 1)
        cv2.rectangle(image, (column - 16, row - 14), (column + 16, row + 14), (white,) * 3, cv2.FILLED)
    return image


@dataclass
class Clip:
    """``packets`` are VP8 as a browser sends it, which begin with a key frame."""

    packets: list[bytes] = field(default_factory=list)
    pictures: list[av.VideoFrame] = field(default_factory=list)
    jpegs: list[bytes] = field(default_factory=list)

    @classmethod
    def of(cls, file: Path) -> Clip:
        """The first frames of ``file``, from its begin again where it is too short."""
        clip = cls()
        encoder = av.CodecContext.create("libvpx", "w")
        encoder.width, encoder.height, encoder.pix_fmt = *_SIZE, "yuv420p"
        encoder.time_base, encoder.bit_rate = Fraction(1, FPS), 800_000
        encoder.options = {"deadline": "realtime", "cpu-used": "8", "auto-alt-ref": "0", "lag-in-frames": "0"}
        number = 0
        while number < LENGTH:
            with av.open(str(file)) as container:
                for source in container.decode(video=0):
                    if number == LENGTH:
                        break
                    image = _numbered(source.to_ndarray(format="bgr24"), number)
                    frame = av.VideoFrame.from_ndarray(image, format="bgr24").reformat(format="yuv420p")
                    frame.pts, frame.time_base = number, Fraction(1, FPS)
                    clip.packets += [bytes(packet) for packet in encoder.encode(frame)]
                    small = cv2.resize(image, (320, 240), interpolation=cv2.INTER_AREA)
                    clip.pictures.append(frame.reformat(width=320, height=240))
                    clip.jpegs.append(bytes(cv2.imencode(".jpg", small, (cv2.IMWRITE_JPEG_QUALITY, 80))[1]))
                    number += 1
        clip.packets += [bytes(packet) for packet in encoder.encode(None)]
        return clip


class ClipTrack(VideoStreamTrack):
    """Plays packets at `FPS`; where packets get lost, pictures at half of it: an encoder answers then when
    the receiver asks for a key frame."""

    def __init__(self, clip: Clip, *, encodes: bool) -> None:
        super().__init__()
        self._clip = clip
        self._encodes = encodes
        self._began = time.monotonic()
        self._count = 0

    async def recv(self) -> av.VideoFrame | av.Packet:  # type: ignore[override]
        fps = FPS // 2 if self._encodes else FPS
        number, self._count = self._count, self._count + 1
        await asyncio.sleep(self._began + number / fps - time.monotonic())
        at = number % LENGTH
        sent = self._clip.pictures[at] if self._encodes else av.Packet(self._clip.packets[at])
        sent.pts, sent.time_base = number * 90_000 // fps, Fraction(1, 90_000)
        return sent
