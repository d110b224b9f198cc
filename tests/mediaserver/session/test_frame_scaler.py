from __future__ import annotations

import time

import av
import cv2
import numpy as np
import pytest

from inference.types import FrameIdentity
from mediaserver.session.frame_scaler import FrameScaler, decode_jpeg
from mediaserver.session.frame_sink import PendingFrame
from signaling.jpeg import JpegError, JpegFrame, parse_jpeg, with_capture_time


def picture(width: int, height: int) -> av.VideoFrame:
    """The left half red, the right half blue."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, : width // 2, 0] = 220
    pixels[:, width // 2 :, 2] = 220
    return av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p")


def jpeg(width: int = 64, height: int = 48) -> JpegFrame:
    pixels = picture(width, height).to_ndarray(format="bgr24")
    return parse_jpeg(bytes(cv2.imencode(".jpg", pixels)[1]))


def pending(frame: av.VideoFrame | JpegFrame) -> PendingFrame:
    identity = FrameIdentity(None, 0.0, None, frame.width, frame.height)
    return PendingFrame(identity, time.monotonic(), frame)


@pytest.mark.parametrize("source", ["track", "jpeg"])
@pytest.mark.parametrize("size", [(320, 240), (640, 480), (640, 360), (240, 320), (66, 50), (1280, 720)])
def test_any_frame_becomes_a_letterboxed_canvas(source: str, size: tuple[int, int]) -> None:
    frame = FrameScaler().prepare(pending(picture(*size) if source == "track" else jpeg(*size)))
    box = frame.letterbox
    assert frame.canvas.shape == (240, 320, 3)
    assert box.width == 320 or box.height == 240
    inside = frame.canvas[box.top : box.top + box.height, box.left : box.left + box.width]
    assert inside[:, : box.width // 3, 0].min() > 150, "red on the left"
    assert inside[:, -box.width // 3 :, 2].min() > 150, "blue on the right"
    outside = np.ones((240, 320), np.bool_)
    outside[box.top : box.top + box.height, box.left : box.left + box.width] = False
    assert (frame.canvas[outside] == 114).all()


def test_the_full_size_picture_stays_at_hand() -> None:
    frame = FrameScaler().prepare(pending(picture(640, 480)))
    assert frame.full_size().shape == (480, 640, 3)


def test_progressive_pictures_are_taken() -> None:
    picture = np.zeros((48, 64, 3), np.uint8)
    data = bytes(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1])
    assert decode_jpeg(parse_jpeg(data)).width == 64


def test_decoding_keeps_size_and_colours() -> None:
    picture = decode_jpeg(parse_jpeg(with_capture_time(jpeg().data, 1.0))).to_ndarray(format="rgb24")
    assert picture.shape == (48, 64, 3)
    assert picture[24, 8, 0] > 200
    assert picture[24, 8, 2] < 60


def test_damage_anywhere_is_an_error_or_a_picture_and_nothing_else() -> None:
    rng = np.random.default_rng(1)
    good = jpeg().data
    for _ in range(300):
        data = bytearray(good)
        for position in rng.integers(0, len(data), 4):
            data[position] = rng.integers(0, 256)
        try:
            frame = parse_jpeg(bytes(data))
            if frame.width * frame.height < 1 << 20:
                decode_jpeg(frame)
        except JpegError:
            continue
