"""Clips as recorders write them: with odd times, damage, cover art, a turned picture."""

from __future__ import annotations

import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from inference.types import Image

MS = Fraction(1, 1000)


def grey_with_a_square(number: int, size: tuple[int, int]) -> Image:
    """A red square in the upper left quarter of grey, which goes right by a pixel a frame."""
    width, height = size
    picture = np.full((height, width, 3), 90, np.uint8)
    picture[height // 8 : height // 3, number % 10 : number % 10 + width // 4] = (220, 30, 30)
    return picture


def write_odd_clip(
    path: Path,
    frames: int = 60,
    times_ms: Callable[[int], int] | None = None,
    *,
    codec: str = "libx264",
    pixels: str = "yuv420p",
    size: tuple[int, int] = (160, 120),
    pixel_shape: Fraction = Fraction(1),
) -> Path:
    """Frame n is shown at ``times_ms(n)``, else at n / 30 s. ``pixel_shape`` is a pixel's width by its
    height."""
    time_base = MS if times_ms else Fraction(1, 30)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=30, width=size[0], height=size[1])
        stream.pix_fmt = pixels
        stream.codec_context.time_base = time_base
        stream.codec_context.sample_aspect_ratio = pixel_shape
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(grey_with_a_square(number, size), format="rgb24")
            frame = frame.reformat(format=pixels)
            frame.pts, frame.time_base = times_ms(number) if times_ms else number, time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def ruined(data: bytes, wanted: bool = True) -> bytes:
    """As many bytes that mean nothing."""
    return b"\xff" * len(data) if wanted else data


def remuxed(source: Path, path: Path, change: Callable[[int, bytes], bytes]) -> Path:
    """The same video with each packet's bytes as ``change(number, bytes)`` gives them."""
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        stream = old.streams.video[0]
        target = new.add_stream_from_template(stream)
        packets = (packet for packet in old.demux(stream) if packet.size)
        for number, packet in enumerate(packets):
            changed = av.Packet(change(number, bytes(packet)))
            changed.pts, changed.dts, changed.time_base = packet.pts, packet.dts, packet.time_base
            changed.is_keyframe, changed.stream = packet.is_keyframe, target
            new.mux(changed)
    return path


def with_other_track(source: Path, path: Path, *, frames: int, size: tuple[int, int]) -> Path:
    """A track of MJPEG pictures first, then the video of ``source``."""
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        other = new.add_stream("mjpeg", rate=30, width=size[0], height=size[1])
        other.pix_fmt = "yuvj420p"
        target = new.add_stream_from_template(old.streams.video[0])
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(np.zeros((size[1], size[0], 3), np.uint8), format="rgb24")
            frame = frame.reformat(format="yuvj420p")
            frame.pts, frame.time_base = number, Fraction(1, 30)
            new.mux(other.encode(frame))
        new.mux(other.encode(None))
        for packet in old.demux(video=0):
            if packet.size:
                packet.stream = target
                new.mux(packet)
    return path


def turned(source: Path, path: Path, matrix: tuple[int, int, int, int]) -> Path:
    """An MP4 whose track header says how it is to be shown: a, b, c, d of ISO/IEC 14496-12, 6.2.2."""
    data = bytearray(source.read_bytes())
    header = data.find(b"tkhd") + 4
    at = header + 4 + (32 if data[header] else 20) + 16
    a, b, c, d = (value << 16 for value in matrix)
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path
