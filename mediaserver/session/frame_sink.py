"""Receives the frames of a session from any source into one slot, in which the newest frame wins.

A frame is scaled to 320×240 only after it was taken for inference, on an executor thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import av

from inference.types import FrameIdentity
from mediaserver.session.latest_slot import LatestSlot
from mediaserver.telemetry.metrics import Metrics
from mediaserver.webrtc.receiver import ReceivedFrame
from signaling.jpeg import JpegFrame

_PADDING = 114


@dataclass(frozen=True, slots=True)
class PendingFrame:
    """A frame in the slot, not scaled yet, and JPEG not decoded yet. ``arrived`` is `time.monotonic`."""

    identity: FrameIdentity
    arrived: float
    picture: av.VideoFrame | JpegFrame


class FrameSink:
    """Takes frames of a WebRTC track or of JPEG messages, and keeps the newest.

    ``pts_ms`` counts from the first frame of the session, over changes of the source, and never goes back.
    JPEG frames of recorded media carry their own ``pts_ms``. ``on_replaced`` is called for each frame that a
    newer frame replaces before inference.
    """

    def __init__(self, metrics: Metrics, on_replaced: Callable[[], None]) -> None:
        self._metrics = metrics
        self._on_replaced = on_replaced
        self._latest: LatestSlot[PendingFrame] = LatestSlot()
        self._first_frame_at: float | None = None
        self._track_offset_ms = 0.0
        self._last_pts_ms = 0.0
        self.received = 0
        self.size = (0, 0)
        """Width and height of the newest frame in pixels."""

    def start_track(self) -> None:
        """Begins a new track. Its time, which starts at zero, is added to the session's."""
        self._track_offset_ms = self._elapsed_ms(time.monotonic())

    def put_track_frame(self, frame: ReceivedFrame) -> None:
        """Takes a decoded frame of the current track."""
        identity = FrameIdentity(
            rtp_timestamp=frame.rtp_timestamp,
            pts_ms=self._forward(self._track_offset_ms + frame.pts_ms),
            capture_time_ms=frame.capture_time_ms,
            width=frame.picture.width,
            height=frame.picture.height,
            capture_time_estimated=frame.capture_time_estimated,
        )
        self._put(PendingFrame(identity, frame.arrived, frame.picture), "track")

    def put_jpeg(self, frame: JpegFrame) -> None:
        """Takes a JPEG frame that has just arrived."""
        now = time.monotonic()
        identity = FrameIdentity(
            rtp_timestamp=None,
            pts_ms=self._forward(self._elapsed_ms(now) if frame.pts_ms is None else frame.pts_ms),
            capture_time_ms=frame.capture_time_ms,
            width=frame.width,
            height=frame.height,
        )
        self._put(PendingFrame(identity, now, frame), "jpeg")

    async def filled(self) -> None:
        """Waits for a frame."""
        await self._latest.filled()

    def take(self) -> PendingFrame | None:
        """Takes the newest frame out of the slot; ``None`` if the slot is empty."""
        return self._latest.take()

    def _put(self, frame: PendingFrame, source: str) -> None:
        if self._first_frame_at is None:
            self._first_frame_at = frame.arrived
        self.received += 1
        self.size = (frame.identity.width, frame.identity.height)
        self._metrics.frames_received.labels(source).inc()
        if self._latest.put(frame):
            self._on_replaced()

    def _elapsed_ms(self, now: float) -> float:
        return 0.0 if self._first_frame_at is None else (now - self._first_frame_at) * 1000.0

    def _forward(self, pts_ms: float) -> float:
        self._last_pts_ms = max(pts_ms, self._last_pts_ms)
        return self._last_pts_ms
