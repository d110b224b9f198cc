from __future__ import annotations

import time

import av
import cv2
import numpy as np
import pytest

from inference.types import FrameIdentity
from mediaserver.session.frame_scaler import FrameScaler
from mediaserver.session.frame_sink import PendingFrame
from signaling.jpeg import JpegFrame, parse_jpeg
from tests.support.exif import with_orientation


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


@pytest.mark.parametrize(
    ("size", "shape"),
    [
        ((640, 480), (480, 640, 3)),
        ((1920, 1080), (1080, 1920, 3)),
        ((3840, 2160), (1080, 1920, 3)),
        ((4096, 2), (1, 1920, 3)),
    ],
)
def test_ocr_gets_the_picture_as_large_as_text_can_be_read(
    size: tuple[int, int], shape: tuple[int, int, int]
) -> None:
    readable = FrameScaler().prepare(pending(picture(*size))).for_ocr()
    assert readable.shape == shape
    assert readable[:, : shape[1] // 3, 0].min() > 150, "red on the left"
    assert readable[:, -shape[1] // 3 :, 2].min() > 150, "blue on the right"


@pytest.mark.parametrize("size", [(640, 480), (480, 640), (66, 50), (4096, 2304)])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_from_a_camera_that_was_turned_stands_upright(
    size: tuple[int, int], orientation: int
) -> None:
    encoded = bytes(cv2.imencode(".jpg", picture(*size).to_ndarray(format="bgr24"))[1])
    data = with_orientation(encoded, orientation)
    shown = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert shown is not None
    frame = FrameScaler().prepare(pending(parse_jpeg(data)))
    assert (frame.identity.height, frame.identity.width) == shown.shape[:2]
    box = frame.letterbox
    for seen in (
        frame.canvas[box.top : box.top + box.height, box.left : box.left + box.width],
        frame.for_ocr(),
    ):
        wanted = cv2.resize(shown[..., ::-1], seen.shape[1::-1], interpolation=cv2.INTER_AREA)
        assert np.abs(seen.astype(int) - wanted).mean() < 12


def test_a_picture_that_is_decoded_at_a_reduced_scale_is_placed_as_it_was_sent() -> None:
    frame = FrameScaler().prepare(pending(jpeg(4096, 2304)))
    assert (frame.identity.width, frame.identity.height) == (4096, 2304)
    assert (frame.letterbox.width, frame.letterbox.height) == (320, 180)
    assert frame.canvas[120, :150, 0].min() > 150, "red on the left"
    assert frame.canvas[120, 170:, 2].min() > 150, "blue on the right"
