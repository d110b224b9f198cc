"""A number drawn into a picture as black and white blocks that survive lossy video coding."""

from __future__ import annotations

import binascii
from typing import Any

import numpy as np
from numpy.typing import NDArray

VALUE_BITS = 48
ROWS, COLUMNS = 7, 10
"""Blocks of 48 bits of value and 16 bits of checksum; the last six blocks stay black.

The sides of a block should be multiples of 16 pixels. Some encoders do not update a macroblock that spans two
blocks.
"""
BLACK, WHITE = 16, 235


def draw(luma: NDArray[np.uint8], value: int) -> None:
    """Draws ``value`` (48 bits) over the whole of ``luma``, uint8 [height, width]."""
    payload = value.to_bytes(VALUE_BITS // 8)
    code = payload + binascii.crc_hqx(payload, 0xFFFF).to_bytes(2)
    bits = np.zeros(ROWS * COLUMNS, np.uint8)
    bits[: len(code) * 8] = np.unpackbits(np.frombuffer(code, np.uint8))
    blocks = bits.reshape(ROWS, COLUMNS)
    height, width = luma.shape
    rows = np.arange(height) * ROWS // height
    columns = np.arange(width) * COLUMNS // width
    luma[:] = np.where(blocks[rows][:, columns] == 1, WHITE, BLACK)


def read(luma: NDArray[Any]) -> int | None:
    """The value in ``luma``, uint8 [height, width], or ``None`` if its checksum does not hold."""
    height, width = luma.shape
    rows = (np.arange(ROWS) * 2 + 1) * height // (ROWS * 2)
    columns = (np.arange(COLUMNS) * 2 + 1) * width // (COLUMNS * 2)
    # The middle of each block, away from the blur at its edges.
    offsets = np.arange(-2, 3)
    block_rows = (rows[:, None] + offsets).reshape(-1)
    block_columns = (columns[:, None] + offsets).reshape(-1)
    middles = luma[block_rows][:, block_columns].reshape(ROWS, 5, COLUMNS, 5).mean(axis=(1, 3))
    bits = (middles > (BLACK + WHITE) / 2).reshape(-1)
    code = np.packbits(bits[: VALUE_BITS + 16]).tobytes()
    if binascii.crc_hqx(code[:-2], 0xFFFF) != int.from_bytes(code[-2:]):
        return None
    return int.from_bytes(code[:-2])
