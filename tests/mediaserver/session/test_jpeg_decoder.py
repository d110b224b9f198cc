from __future__ import annotations

import cv2
import numpy as np
import pytest

from inference.types import Image
from mediaserver.session.jpeg_decoder import MAX_PIXELS, decode_jpeg
from signaling.jpeg import JpegError, JpegFrame, parse_jpeg


def halves(width: int, height: int) -> Image:
    """The left half red, the right half blue; RGB."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[:, : width // 2, 0] = 220
    picture[:, width // 2 :, 2] = 220
    return picture


def jpeg(picture: Image, *options: int) -> JpegFrame:
    encoded = cv2.imencode(".jpg", picture[..., ::-1] if picture.ndim == 3 else picture, options)[1]
    return parse_jpeg(bytes(encoded))


@pytest.mark.parametrize("size", [(64, 48), (65, 49), (1, 1), (30, 2000), (4096, 16), (1920, 1080)])
@pytest.mark.parametrize(
    "options",
    [
        (cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
        (cv2.IMWRITE_JPEG_RST_INTERVAL, 1),
        *((cv2.IMWRITE_JPEG_SAMPLING_FACTOR, factor) for factor in (0x111111, 0x211111, 0x221111, 0x411111)),
    ],
)
def test_every_kind_and_size_keeps_its_size_and_colours(
    size: tuple[int, int], options: tuple[int, int]
) -> None:
    picture = halves(*size)
    decoded = decode_jpeg(jpeg(picture, *options))
    assert (decoded.width, decoded.height) == size
    seen = decoded.to_ndarray(format="rgb24").astype(int)
    assert np.abs(seen - picture).mean() < 12


def test_a_grey_picture_stays_as_bright_as_it_was() -> None:
    decoded = decode_jpeg(jpeg(np.full((48, 64), 240, np.uint8)))
    assert decoded.to_ndarray(format="rgb24").min() > 235


@pytest.mark.parametrize(
    ("size", "decoded_size"),
    [
        ((1920, 1080), (1920, 1080)),
        ((1922, 1080), (961, 540)),
        ((4096, 2304), (1024, 576)),
        ((3839, 2161), (1920, 1081)),
        ((4096, 4096), (1024, 1024)),
    ],
)
def test_a_large_picture_is_decoded_at_a_reduced_scale(
    size: tuple[int, int], decoded_size: tuple[int, int]
) -> None:
    decoded = decode_jpeg(jpeg(halves(*size)))
    assert (decoded.width, decoded.height) == decoded_size
    seen = decoded.to_ndarray(format="rgb24").astype(int)
    middle = decoded.width // 2
    assert seen[:, : middle - 8, 0].min() > 190, "red on the left"
    assert seen[:, middle + 8 :, 2].min() > 190, "blue on the right"


def test_damage_anywhere_is_an_error_or_a_picture_and_nothing_else(capfd: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(1)
    good = jpeg(halves(64, 48)).data
    refused = 0
    for _ in range(500):
        data = bytearray(good)
        for position in rng.integers(0, len(data), 4):
            data[position] = rng.integers(0, 256)
        try:
            picture = decode_jpeg(parse_jpeg(bytes(data)))
            assert picture.width * picture.height <= MAX_PIXELS * 1.01
        except JpegError:
            refused += 1
    assert 50 < refused < 500
    assert capfd.readouterr().err == "", "no library writes past the log"


def test_a_picture_whose_scan_ends_early_is_an_error() -> None:
    data = jpeg(halves(640, 480)).data
    with pytest.raises(JpegError, match="cannot be decoded"):
        decode_jpeg(JpegFrame(data[: data.index(b"\xff\xda") + 20] + b"\xff\xd9", 640, 480, None))
