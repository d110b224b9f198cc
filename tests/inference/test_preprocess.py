from __future__ import annotations

import time

import cv2
import numpy as np
import pytest

from inference.engines.contract import Placement
from inference.preprocess import UNIT, UNSCALED, InputSpec, place, to_tensor
from inference.types import FRAME_HEIGHT, FRAME_WIDTH

PADDING = 114


@pytest.fixture
def frames() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (2, FRAME_HEIGHT, FRAME_WIDTH, 3), np.uint8)


@pytest.mark.parametrize(
    ("size", "centred", "placement"),
    [
        ((320, 256), True, Placement(320, 256, 1.0, 0.0, 8.0)),
        ((320, 256), False, Placement(320, 256, 1.0, 0.0, 0.0)),
        ((640, 640), True, Placement(640, 640, 2.0, 0.0, 80.0)),
        ((416, 416), False, Placement(416, 416, 1.3, 0.0, 0.0)),
        ((160, 320), True, Placement(160, 320, 0.5, 0.0, 100.0)),
        ((640, 240), True, Placement(640, 240, 1.0, 160.0, 0.0)),
    ],
)
def test_the_frame_fills_a_network_as_far_as_its_aspect_allows(
    size: tuple[int, int], centred: bool, placement: Placement
) -> None:
    assert place(*size, centred=centred) == placement


def test_ultralytics_gets_a_centred_frame_in_rgb_from_0_to_1(frames: np.ndarray) -> None:
    tensor = to_tensor(frames, InputSpec(place(320, 256, centred=True), False, *UNIT))

    assert tensor.shape == (2, 3, 256, 320)
    assert tensor.dtype == np.float32
    assert tensor.flags.c_contiguous
    np.testing.assert_allclose(tensor[:, :, 8:248], frames.transpose(0, 3, 1, 2) / 255, rtol=1e-6)
    np.testing.assert_allclose(tensor[:, :, :8], PADDING / 255, rtol=1e-6)
    np.testing.assert_allclose(tensor[:, :, 248:], PADDING / 255, rtol=1e-6)


def test_yolox_gets_the_frame_top_left_in_bgr_from_0_to_255(frames: np.ndarray) -> None:
    tensor = to_tensor(frames, InputSpec(place(320, 256, centred=False), True, *UNSCALED))

    assert np.array_equal(tensor[:, :, :240], frames[..., ::-1].transpose(0, 3, 1, 2))
    assert np.all(tensor[:, :, 240:] == PADDING)


def test_a_larger_network_gets_the_frame_enlarged(frames: np.ndarray) -> None:
    tensor = to_tensor(frames, InputSpec(place(640, 640, centred=True), False, *UNSCALED))

    enlarged = cv2.resize(frames[1], (640, 480), interpolation=cv2.INTER_LINEAR)
    assert np.array_equal(tensor[1, :, 80:560], enlarged.transpose(2, 0, 1))
    assert np.all(tensor[:, :, :80] == PADDING)
    assert np.all(tensor[:, :, 560:] == PADDING)


def test_without_a_placement_any_size_goes_in_normalised_by_channel() -> None:
    blue, green, red = 10.0, 20.0, 40.0
    picture = np.full((1, 48, 96, 3), (red, green, blue), np.uint8)

    tensor = to_tensor(picture, InputSpec(None, True, (blue, 0.0, 20.0), (1.0, 0.5, 0.25)))

    assert tensor.shape == (1, 3, 48, 96)
    assert tensor[0, :, 0, 0].tolist() == [0.0, 10.0, 5.0]


def test_the_frames_that_came_in_are_left_as_they_were(frames: np.ndarray) -> None:
    before = frames.copy()
    to_tensor(frames, InputSpec(None, False, *UNIT))
    assert np.array_equal(frames, before)


def test_costs_less_than_a_millisecond_a_frame(frames: np.ndarray) -> None:
    spec = InputSpec(place(320, 256, centred=True), False, *UNIT)

    def seconds() -> float:
        began = time.perf_counter()
        to_tensor(frames[:1], spec)
        return time.perf_counter() - began

    assert min(seconds() for _ in range(50)) < 0.001
