from __future__ import annotations

import time

import av
import cv2
import numpy as np

from inference.types import FrameIdentity
from mediaserver.session.frame_sink import FrameSink, PendingFrame
from mediaserver.telemetry.metrics import Metrics
from mediaserver.webrtc.receiver import ReceivedFrame
from signaling.jpeg import JpegFrame, parse_jpeg


def picture(width: int, height: int) -> av.VideoFrame:
    """The left half red, the right half blue."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, : width // 2, 0] = 220
    pixels[:, width // 2 :, 2] = 220
    return av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p")


def received(pts_ms: float, width: int = 64, height: int = 48) -> ReceivedFrame:
    now = time.monotonic()
    return ReceivedFrame(picture(width, height), 1234, pts_ms, None, arrived=now, decoded=now)


def jpeg(width: int = 64, height: int = 48) -> JpegFrame:
    pixels = picture(width, height).to_ndarray(format="bgr24")
    return parse_jpeg(bytes(cv2.imencode(".jpg", pixels)[1]))


def pending(frame: av.VideoFrame | JpegFrame) -> PendingFrame:
    identity = FrameIdentity(None, 0.0, None, frame.width, frame.height)
    return PendingFrame(identity, time.monotonic(), frame)


async def test_the_newest_frame_is_kept_and_named() -> None:
    replaced: list[None] = []
    sink = FrameSink(Metrics(), lambda: replaced.append(None))
    sink.start_track()
    for number in range(3):
        sink.put_track_frame(received(pts_ms=number * 33.3))
    taken = sink.take()
    assert taken is not None
    assert taken.identity == FrameIdentity(1234, 66.6, None, 64, 48)
    assert (sink.received, len(replaced), sink.size) == (3, 2, (64, 48))
    assert sink.take() is None


async def test_time_goes_on_over_a_change_of_source_and_never_back() -> None:
    sink = FrameSink(Metrics(), lambda: None)
    times = []
    for _ in range(2):
        sink.start_track()
        for pts_ms in (0.0, 500.0):
            sink.put_track_frame(received(pts_ms))
            taken = sink.take()
            assert taken is not None
            times.append(taken.identity.pts_ms)
    sink.put_jpeg(jpeg())
    taken = sink.take()
    assert taken is not None
    assert taken.identity.rtp_timestamp is None
    times.append(taken.identity.pts_ms)
    assert times == sorted(times)
