"""Keeps up with a live source: one thread reads packets and reconnects, another thread decodes.

The queue between them is bounded, so that the newest frame is not old.
"""

from __future__ import annotations

import random
import socket
import threading
import time
from collections import deque
from collections.abc import Callable

import av
from av.codec.context import Flags
from av.container import InputContainer
from av.error import (
    ExitError,
    FFmpegError,
    HTTPForbiddenError,
    HTTPNotFoundError,
    HTTPUnauthorizedError,
    InvalidDataError,
)
from av.video.stream import VideoStream

from mediaserver.client.clip_file import is_picture, video_tracks
from mediaserver.client.errors import ClipError
from mediaserver.client.live_address import LiveAddress
from mediaserver.client.upright import Upright

_OPEN_TIMEOUT_S, _READ_TIMEOUT_S = 8.0, 5.0
_BACKOFF_FIRST_S, _BACKOFF_LAST_S = 0.5, 15.0
_WORKED_S = 10.0
"""A connection that lasts less is followed by a longer pause: some sources take each, and end it at once."""
_MAX_WAITING = 60
"""Packets: two seconds of most cameras. A keyframe, which needs none before it, makes room earlier."""
_WORDS: dict[type[Exception], str] = {
    HTTPUnauthorizedError: "refuses this user and password (401)",
    HTTPForbiddenError: "refuses access (403)",
    HTTPNotFoundError: "has no such stream (404)",
    InvalidDataError: "sends no video that can be read",
    av.EOFError: "has ended the stream",
    ExitError: "does not answer",
    TimeoutError: "does not answer",
    ConnectionRefusedError: "refuses the connection: nothing listens there",
    FileNotFoundError: "no such device",
    PermissionError: "may not be read: is this user in the group that owns it (video)?",
}


def connect(address: LiveAddress) -> tuple[InputContainer, VideoStream]:
    """Opens a source. Blocking, for seconds. Raises `ClipError`."""
    if address.host is not None:
        try:
            socket.getaddrinfo(address.host, None)
        except (OSError, UnicodeError):  # FFmpeg calls it an "input/output error"
            raise ClipError(f"{address}: there is no host of this name") from None
    try:
        container = av.open(
            address.target,
            format=address.format,
            options=address.options,
            timeout=(_OPEN_TIMEOUT_S, _READ_TIMEOUT_S),
        )
    except (FFmpegError, OSError, ValueError) as exc:
        # Its message holds the whole URL, so it must not be seen, not even as a cause.
        raise ClipError(f"{address}: {_words(exc)}") from None
    try:
        stream = _live_video(container, address)
    except ClipError:
        container.close()
        raise
    stream.thread_type = "SLICE"  # threads that decode several frames at once give each of them later
    stream.codec_context.flags |= Flags.low_delay
    return container, stream


def _live_video(container: InputContainer, address: LiveAddress) -> VideoStream:
    """Raises `ClipError` for what has none."""
    if not container.streams.video:
        raise ClipError(f"{address}: has no video")
    decodable = video_tracks(container)
    if not decodable:
        raise ClipError(f"{address}: has no video that can be decoded")
    if is_picture(container):
        raise ClipError(f"{address}: is one picture: name the camera's stream, not its snapshot")
    if address.format is None and container.duration and not address.target.lower().startswith("rtsp"):
        raise ClipError(f"{address}: is a recording: download it, and replay the file")
    return decodable[0]


class LiveFeed:
    """Reads an open source until `close`. Threads call both callbacks.

    ``on_frame`` gets each frame, ``on_notice`` a message if the source is lost or back.
    """

    def __init__(
        self,
        address: LiveAddress,
        opened: tuple[InputContainer, VideoStream],
        on_frame: Callable[[av.VideoFrame], None],
        on_notice: Callable[[str], None],
    ) -> None:
        self._address = address
        self._opened = opened
        self._on_frame = on_frame
        self._on_notice = on_notice
        self._closing = threading.Event()
        self._waiting: deque[av.Packet[VideoStream]] = deque()
        self._filled = threading.Condition()
        self._in_use = threading.Lock()
        """Held where packets are decoded, and where what they belong to is closed."""
        self._needs_keyframe = False
        self._pause_s = _BACKOFF_FIRST_S
        self._upright = Upright()
        self.left_out = 0
        """Packets that were not decoded, for newer ones."""
        self.damaged = 0
        """Packets that could not be decoded."""
        self._threads = [
            threading.Thread(target=work, name=f"live-{name}", daemon=True)
            for name, work in (("read", self._read), ("decode", self._decode))
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Ends both threads. Blocking: a source that is silent is waited for, some seconds."""
        self._closing.set()
        with self._filled:
            self._filled.notify_all()
        for thread in self._threads:
            thread.join()

    # --- the thread that reads ---

    def _read(self) -> None:
        opened: tuple[InputContainer, VideoStream] | None = self._opened
        while opened is not None:
            container, stream = opened
            began = time.monotonic()
            try:
                why = self._pump(container, stream)
            finally:
                self._let_go(container)
            if time.monotonic() - began > _WORKED_S:
                self._pause_s = _BACKOFF_FIRST_S
            opened = None if self._closing.is_set() else self._connect_again(why)

    def _pump(self, container: InputContainer, stream: VideoStream) -> str:
        """Takes packets until there are no more; says why."""
        self._needs_keyframe = True
        try:
            for packet in container.demux(stream):
                if self._closing.is_set():
                    return "closed here"
                if packet.size:
                    self._put(packet)
        except (FFmpegError, OSError) as exc:
            return _words(exc)
        return _WORDS[av.EOFError]

    def _put(self, packet: av.Packet[VideoStream]) -> None:
        with self._filled:
            is_full = len(self._waiting) >= _MAX_WAITING
            if packet.is_keyframe or is_full:
                self.left_out += len(self._waiting)
                self._waiting.clear()
                self._needs_keyframe = not packet.is_keyframe
            if self._needs_keyframe:
                self.left_out += 1
                return
            self._waiting.append(packet)
            self._filled.notify()

    def _let_go(self, container: InputContainer) -> None:
        with self._in_use, self._filled:
            self._waiting.clear()
            container.close()

    def _connect_again(self, why: str) -> tuple[InputContainer, VideoStream] | None:
        self._on_notice(f"{self._address}: {why}; connecting again")
        while not self._closing.wait(self._pause_s * random.uniform(0.8, 1.2)):
            self._pause_s = min(2 * self._pause_s, _BACKOFF_LAST_S)
            try:
                opened = connect(self._address)
            except ClipError:
                pass
            else:
                self._on_notice(f"{self._address}: connected again")
                return opened
        return None

    # --- the thread that decodes ---

    def _decode(self) -> None:
        while not self._closing.is_set():
            with self._filled:
                self._filled.wait_for(lambda: self._waiting or self._closing.is_set())
            with self._in_use:
                frames = self._decode_next()
            for frame in frames:
                self._on_frame(frame)

    def _decode_next(self) -> list[av.VideoFrame]:
        with self._filled:
            packet = self._waiting.popleft() if self._waiting else None
        if packet is None:
            return []
        try:
            shape = packet.stream.sample_aspect_ratio
            return [self._upright.turn(frame, shape) for frame in packet.decode()]
        except FFmpegError:
            self.damaged += 1
            return []


def _words(exc: Exception) -> str:
    """Why, without the URL that is in FFmpeg's messages."""
    for kind, words in _WORDS.items():
        if isinstance(exc, kind):
            return words
    return f"cannot be read ({getattr(exc, 'strerror', None) or type(exc).__name__})"
