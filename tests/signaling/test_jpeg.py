from __future__ import annotations

import time

import cv2
import numpy as np
import pytest

from signaling.jpeg import JpegError, Orientation, parse_jpeg, with_capture_time, with_pts
from tests.support.exif import exif, with_orientation


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


def test_a_recorded_picture_names_its_time_in_the_recording() -> None:
    frame = parse_jpeg(with_pts(jpeg(), 1234.5))
    assert (frame.pts_ms, frame.capture_time_ms) == (1234.5, None)
    assert parse_jpeg(jpeg()).pts_ms is None


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


@pytest.mark.parametrize(
    "behind",
    [
        b"\r\n",
        b"\r\n--boundary\r\nContent-Type: image/jpeg\r\n\r\n",
        bytes(500),
        b"\xff" * 500,
        b"\x00\x00\x01\n" + b"x" * 40 + b"SEFT",
        jpeg(16, 16),
        jpeg(16, 16)[:-2],
        b"\xff\xd9",
    ],
    ids=("line", "multipart", "zeros", "fill bytes", "Samsung", "a second picture", "half of one", "twice"),
)
def test_bytes_behind_the_end_are_left_out(behind: bytes) -> None:
    assert parse_jpeg(jpeg() + behind) == parse_jpeg(jpeg())


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", Orientation)
def test_the_size_is_that_of_the_picture_as_it_is_shown(orientation: Orientation, order: str) -> None:
    frame = parse_jpeg(with_capture_time(with_orientation(jpeg(64, 48), orientation, order), 5.0))
    assert frame.orientation is orientation
    assert (frame.width, frame.height) == ((48, 64) if orientation >= 5 else (64, 48))
    assert frame.data == parse_jpeg(jpeg(64, 48)).data


ORIENTATION, SHORT, LONG = 0x0112, 3, 4


@pytest.mark.parametrize(
    "segment",
    [
        exif(),
        exif((ORIENTATION, SHORT, 1, 0)),
        exif((ORIENTATION, SHORT, 1, 9)),
        exif((ORIENTATION, LONG, 1, 6)),
        exif((ORIENTATION, SHORT, 2, 6)),
        exif(*[(0x9000, SHORT, 1, 6)] * 100, (ORIENTATION, SHORT, 1, 6)),
        exif((ORIENTATION, SHORT, 1, 6)).replace(b"II*", b"ABC"),
        exif((ORIENTATION, SHORT, 1, 6)).replace(b"*\x00\x08\x00", b"*\x00\xff\xff"),
        b"\xff\xe1\x00\x08Exif\x00\x00",
        b"\xff\xe1\x00\x0dExif\x00\x00II*\x00\x08",
        b"\xff\xe1\x00\x14Exif\x00\x00II*\x00\x08\x00\x00\x00\xff\xff\x12\x01",
        b"\xff\xe1\x00\x0aXMP: 6\x00\x06",
    ],
)
def test_exif_that_says_nothing_turns_nothing(segment: bytes) -> None:
    data = jpeg()
    assert parse_jpeg(data[:2] + segment + data[2:]) == parse_jpeg(data)


def test_the_first_exif_counts_wherever_it_lies() -> None:
    data = jpeg()
    first = exif((ORIENTATION, SHORT, 1, 6), directory=40)
    second = exif((ORIENTATION, SHORT, 1, 3))
    assert parse_jpeg(data[:2] + first + second + data[2:]).orientation is Orientation.TURNED_90


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


def test_coded_data_of_marks_alone_costs_no_more_than_other_data() -> None:
    plain = jpeg(2000, 2000)
    scan = plain.rindex(b"\xff\xda")
    head = plain[: scan + 2 + int.from_bytes(plain[scan + 2 : scan + 4], "big")]

    def cost_s(coded: bytes) -> float:
        times = []
        for _ in range(5):
            began = time.process_time()
            parse_jpeg(head + coded + b"\xff\xd9")
            times.append(time.process_time() - began)
        return min(times)

    assert cost_s(b"\xff\x00" * 250_000) < 0.01
    assert cost_s(b"\xff\xd0" * 250_000) < 0.01
