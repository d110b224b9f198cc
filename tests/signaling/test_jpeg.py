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
        (b"\xff\xd8\xff\xd9", "no scan"),
        (b"\xff\xd8" + b"\xff" * 500_000 + b"\x00\x00\x02", "damaged"),
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


def changed(data: bytes, offset: int, *values: int) -> bytes:
    """Other bytes in the frame header, at an offset: 1 its kind, 4 bits, 5 height and width, 9 components."""
    at = data.index(b"\xff\xc0") + offset
    return data[:at] + bytes(values) + data[at + len(values) :]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (changed(jpeg(), 1, 0xC3), "lossless"),
        (changed(jpeg(), 1, 0xC5), "hierarchical"),
        (changed(jpeg(), 1, 0xC9), "coded arithmetically"),
        (changed(jpeg(), 4, 12), "12 bits a sample"),
        (changed(jpeg(), 9, 4), "damaged"),
        (changed(jpeg(), 3, 20)[: jpeg().index(b"\xff\xc0") + 19] + bytes(3), "damaged"),
        (changed(jpeg(), 5, 0, 0), "64×0"),
        (changed(jpeg(), 11, 0x05), "damaged"),
    ],
)
def test_what_browsers_and_cameras_never_write_is_refused_with_words(data: bytes, words: str) -> None:
    with pytest.raises(JpegError, match=words):
        parse_jpeg(data)


def test_four_components_are_refused() -> None:
    """As printers use: cyan, magenta, yellow, black."""
    data = jpeg()
    at = data.index(b"\xff\xc0")
    header = b"\xff\xc0\x00\x14\x08\x00\x30\x00\x40\x04" + bytes.fromhex("011100 021100 031100 041100")
    with pytest.raises(JpegError, match="4 components"):
        parse_jpeg(data[:at] + header + data[at + 19 :])


def test_a_large_progressive_picture_is_refused_and_a_sequential_one_is_taken() -> None:
    picture = np.zeros((1100, 2000, 3), np.uint8)
    assert parse_jpeg(bytes(cv2.imencode(".jpg", picture)[1])).width == 2000
    with pytest.raises(JpegError, match="progressive and 2000×1100"):
        parse_jpeg(bytes(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1]))
    progressive = cv2.imencode(".jpg", picture[:1080, :1920], [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1]
    assert parse_jpeg(bytes(progressive)).width == 1920


def test_scans_that_go_over_a_large_picture_again_and_again_are_refused() -> None:
    data = changed(jpeg(), 5, 0x10, 0x00, 0x10, 0x00)
    scan = data[data.index(b"\xff\xda") : -2]
    assert parse_jpeg(data).width == 4096
    with pytest.raises(JpegError, match="too often"):
        parse_jpeg(data[:-2] + scan * 2 + data[-2:])


def test_a_heap_of_huffman_tables_is_refused() -> None:
    data = jpeg()
    table = bytes((0, *[0] * 15, 1, 0))
    segment = b"\xff\xc4" + (2 + 100 * len(table)).to_bytes(2, "big") + 100 * table
    with pytest.raises(JpegError, match="64 Huffman tables"):
        parse_jpeg(data[:2] + segment + data[2:])


def test_a_second_frame_header_is_refused_wherever_it_stands() -> None:
    data = jpeg()
    at = data.index(b"\xff\xc0")
    header = data[at : at + 19]
    for place in (at, len(data) - 2):
        with pytest.raises(JpegError, match="damaged"):
            parse_jpeg(data[:place] + header + data[place:])


def test_metadata_and_what_follows_the_picture_go_no_further() -> None:
    data = jpeg()
    exif = b"\xff\xe1\x00\x0eExif: secret"
    adobe = b"\xff\xee\x00\x0eAdobe" + bytes(7)
    frame = parse_jpeg(with_capture_time(data[:2] + exif + adobe + data[2:] + b"a film\xff\xd9", 5.0))
    assert frame.capture_time_ms == 5.0
    for absent in (b"secret", b"JFIF", b"capture_time_ms", b"film"):
        assert absent not in frame.data
    assert adobe in frame.data, "without it a decoder would take colours for brightness"
    assert frame.data.endswith(data[data.index(b"\xff\xda") :])
