from __future__ import annotations

import cv2
import numpy as np
import pytest

from signaling.jpeg import JpegError, parse_jpeg, with_capture_time


def jpeg(width: int = 64, height: int = 48) -> bytes:
    picture = np.zeros((height, width, 3), np.uint8)
    picture[:, : width // 2] = (0, 0, 255)  # BGR: the left half is red
    return bytes(cv2.imencode(".jpg", picture)[1])


def test_size_is_read_without_decoding() -> None:
    frame = parse_jpeg(jpeg(64, 48))
    assert (frame.width, frame.height, frame.capture_time_ms) == (64, 48, None)


def test_capture_time_travels_in_a_comment() -> None:
    frame = parse_jpeg(with_capture_time(jpeg(), 1795441737965.625))
    assert frame.capture_time_ms == pytest.approx(1795441737965.625, abs=0.001)


def test_other_comments_are_not_capture_times() -> None:
    data = jpeg()
    comment = b"hello"
    data = data[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + data[2:]
    assert parse_jpeg(data).capture_time_ms is None


def test_fill_bytes_before_a_marker_mean_nothing() -> None:
    data = jpeg()
    assert parse_jpeg(data[:2] + b"\xff\xff" + data[2:]).width == 64


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not a JPEG"),
        (b"GIF89a" + bytes(100), "not a JPEG"),
        (jpeg()[:-400], "cut off"),
        (jpeg()[:10] + b"\xff\xd9", "cut off"),
        (b"\xff\xd8" + b"\x00" * 40 + b"\xff\xd9", "damaged"),
        (b"\xff\xd8\xff\xd9", "cut off"),
        (b"\xff\xd8" + b"\xff" * 500_000 + b"\xff\xd9", "damaged"),
        (b"\xff\xd8" + b"\xff\xfe\x00\x02" * 1000 + b"\xff\xd9", "segments"),
        (jpeg()[:-2] + jpeg()[jpeg().index(b"\xff\xda") : -2] * 16 + b"\xff\xd9", "scans"),
    ],
)
def test_what_is_no_whole_picture_is_refused(data: bytes, words: str) -> None:
    with pytest.raises(JpegError, match=words):
        parse_jpeg(data)


def test_a_huge_picture_is_refused_before_it_is_decoded() -> None:
    data = bytearray(jpeg())
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = (60_000).to_bytes(2, "big") * 2
    with pytest.raises(JpegError, match="60000×60000"):
        parse_jpeg(bytes(data))
