from __future__ import annotations

import numpy as np
import pytest

from rendered_world import barcode


@pytest.mark.parametrize("value", [0, 1_700_000_000_123, (1 << 48) - 1])
@pytest.mark.parametrize("size", [(112, 320), (240, 320)])
def test_what_was_drawn_is_read(value: int, size: tuple[int, int]) -> None:
    luma = np.empty(size, np.uint8)
    barcode.draw(luma, value)
    assert barcode.read(luma) == value


def test_noise_does_not_matter() -> None:
    luma = np.empty((112, 320), np.uint8)
    barcode.draw(luma, 123_456_789)
    noise = np.random.default_rng(0).normal(0, 40, luma.shape)
    assert barcode.read(np.clip(luma + noise, 0, 255).astype(np.uint8)) == 123_456_789


def test_a_picture_without_a_barcode_gives_none() -> None:
    assert barcode.read(np.random.default_rng(0).integers(0, 256, (112, 320), np.uint8)) is None


def test_a_block_read_wrongly_gives_none() -> None:
    luma = np.empty((112, 320), np.uint8)
    barcode.draw(luma, 42)
    luma[:16, :32] = 255 - luma[:16, :32]
    assert barcode.read(luma) is None
