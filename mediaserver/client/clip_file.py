"""Reads a video file packet by packet: what is damaged is left out; frames are upright and in time."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Self

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from mediaserver.client.clip_clock import CLOCK_HZ, ClipClock
from mediaserver.client.errors import ClipError
from mediaserver.client.upright import Upright

_FRAMERATES = (0.1, 240.0)
"""Usable frame rates of a file. A browser's WebM has 1000, the ticks of its clock."""
_FRAMERATE = 30.0
_LOOKED_AT = 256
"""Packets, to see which video tracks move."""
_FAILURES_IN_A_ROW = 64
"""Of the container, without a packet in between; after them there is no more to come."""
_PICTURES = re.compile("image2|_pipe$")
"""Names of FFmpeg's formats of one picture."""
_NO_PICTURES = frozenset({"ansi", "bintext", "idf", "xbin"})
"""FFmpeg draws text files too."""


class ClipFile:
    """One video file, open for reading. Blocking, and for one thread at a time; use ``with``.

    ``damaged`` counts packets that could not be decoded. ``framerate`` is the mean, in frames a second;
    ``duration_s`` is ``None`` where the file does not say it. Raises `ClipError` for a file that is missing,
    no video, or without a video track that can be decoded.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._container, self._stream = _open(path)
        self._stream.thread_type = "AUTO"
        time_base = self._stream.time_base or Fraction(1, CLOCK_HZ)
        self._clock = ClipClock(time_base, _framerate(self._stream.guessed_rate))
        self._upright = Upright()
        self._is_picture = is_picture(self._container)
        self._bytes, self._bytes_read = max(1, self._container.size), 0
        self.damaged = 0
        self.framerate = _framerate(self._stream.average_rate or self._stream.guessed_rate)
        self.duration_s = _duration_s(self._container, self._stream)

    @property
    def share_read(self) -> float:
        """How much of the file was read, 0..1."""
        return min(1.0, self._bytes_read / self._bytes)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._container.close()

    def frames(self) -> Iterator[av.VideoFrame]:
        """Each frame that can be decoded, in the order of their times, which count from the first one.

        Raises `ClipError` where there is none at all.
        """
        is_empty = True
        for frame in self._decoded():
            pts = frame.dts if frame.pts is None else frame.pts  # AVI has no others
            upright = self._upright.turn(frame, self._pixel_shape())
            upright.pts, upright.time_base = self._clock.ticks(pts, frame.dts), Fraction(1, CLOCK_HZ)
            is_empty = False
            yield upright
        if is_empty:
            raise ClipError(f"{self._path}: no frame of it can be decoded")

    def file_at(self, time_s: float) -> Path:
        """Where the frame at that time is from."""
        return self._path

    def _pixel_shape(self) -> Fraction | None:
        """Of a picture that is no video there is none: what it says is how densely to print it."""
        return None if self._is_picture else self._stream.sample_aspect_ratio

    def _decoded(self) -> Iterator[av.VideoFrame]:
        decoder = self._stream.codec_context
        for packet in self._packets():
            try:
                frames = decoder.decode(packet)
            except EOFError:
                return
            except av.FFmpegError:
                self.damaged += 1
            else:
                yield from frames

    def _packets(self) -> Iterator[av.Packet[VideoStream] | None]:
        """Those of the stream, then ``None``, which asks the decoder for what it still holds."""
        failures = 0
        while failures < _FAILURES_IN_A_ROW:
            try:
                for packet in self._container.demux(self._stream):
                    failures = 0
                    self._bytes_read = max(self._bytes_read, packet.pos or 0)
                    # An empty one stands for the frame before; PyAV's last one is empty too, for the decoder.
                    if packet.size:
                        yield packet
                break
            except av.FFmpegError:
                self.damaged += 1
                failures += 1
        yield None


def _open(path: Path) -> tuple[InputContainer, VideoStream]:
    """The file, and the track in it to be shown."""
    candidates = video_tracks(container := _container(path))
    if not candidates:
        container.close()
        raise ClipError(f"{path}: has no video track that can be decoded")
    if len(candidates) > 1:
        best = _best(candidates, container).index
        container.close()
        container = _container(path)  # anew: not every file can be wound back
        candidates = [stream for stream in container.streams.video if stream.index == best]
    [stream] = candidates
    return container, stream


def _container(path: Path) -> InputContainer:
    try:
        if not path.exists():
            raise ClipError(f"{path}: no such file")
        if not path.is_file():
            raise ClipError(f"{path}: not a file")
        if path.stat().st_size == 0:
            raise ClipError(f"{path}: the file is empty")
        # No name is taken for an address or a numbered series.
        return av.open(f"file:{path}", options={"pattern_type": "none"})
    except PermissionError as exc:
        raise ClipError(f"{path}: may not be read") from exc
    except (av.FFmpegError, OSError, ValueError) as exc:
        if _lacks_index(path):
            raise ClipError(
                f"{path}: is cut off: the index, which comes last in such a file, is missing"
            ) from exc
        raise ClipError(f"{path}: not a video file that can be read") from exc


def _lacks_index(path: Path) -> bool:
    """Whether it begins as MP4 or QuickTime and has no ``moov`` box (ISO/IEC 14496-12, 4.2)."""
    try:
        with path.open("rb") as file:
            kind, boxes = b"ftyp", 0
            while header := file.read(16):
                size, kind = int.from_bytes(header[:4], "big"), header[4:8]
                if (boxes == 0 and kind not in (b"ftyp", b"wide", b"mdat")) or kind == b"moov":
                    return False
                size = int.from_bytes(header[8:16], "big") if size == 1 else size
                if size < 8:
                    break
                file.seek(size - len(header), 1)
                boxes += 1
    except OSError:
        return False
    return boxes > 0


def is_picture(container: InputContainer) -> bool:
    """Whether it holds one picture and no video."""
    return _PICTURES.search(container.format.name) is not None


def video_tracks(container: InputContainer) -> list[VideoStream]:
    """Those that can be decoded to pictures, without cover art and thumbnails."""
    aside = Disposition.attached_pic | Disposition.timed_thumbnails
    return [
        stream
        for stream in container.streams.video
        if not stream.disposition & aside
        and stream.codec_context is not None
        and stream.codec_context.name not in _NO_PICTURES
    ]


def _best(candidates: list[VideoStream], container: InputContainer) -> VideoStream:
    """What moves comes before what stands, large before small, then what the file names the default one."""
    packets: Counter[int] = Counter()
    try:
        for packet in islice(container.demux(candidates), _LOOKED_AT):
            packets[packet.stream_index] += packet.size > 0
    except av.FFmpegError:
        pass  # what was seen has to do

    def rank(stream: VideoStream) -> tuple[bool, int, int]:
        size = stream.codec_context.width * stream.codec_context.height
        return packets[stream.index] > 1, size, stream.disposition & Disposition.default

    return max(candidates, key=rank)


def _framerate(rate: Fraction | None) -> float:
    return float(rate) if rate and _FRAMERATES[0] <= rate <= _FRAMERATES[1] else _FRAMERATE


def _duration_s(container: InputContainer, stream: VideoStream) -> float | None:
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    return container.duration / av.time_base if container.duration else None
