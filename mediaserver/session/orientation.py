"""Turns pictures upright. Phones and cameras store them as the sensor lies, with their orientation."""

from __future__ import annotations

import numpy as np

from inference.types import Image
from signaling.jpeg import Orientation

_TURNS = {
    Orientation.AS_CODED: (False, 0),
    Orientation.MIRRORED: (True, 0),
    Orientation.TURNED_180: (False, 2),
    Orientation.MIRRORED_TURNED_180: (True, 2),
    Orientation.MIRRORED_TURNED_270: (True, 3),
    Orientation.TURNED_90: (False, 1),
    Orientation.MIRRORED_TURNED_90: (True, 1),
    Orientation.TURNED_270: (False, 3),
}
"""Whether to mirror left and right, then the number of quarter turns clockwise."""


def as_shown(pixels: Image, orientation: Orientation) -> Image:
    """Turns a picture, uint8 [height, width, 3], from the stored to the shown orientation."""
    mirrored, quarter_turns = _TURNS[orientation]
    turned = np.rot90(pixels[:, ::-1] if mirrored else pixels, -quarter_turns)
    return np.ascontiguousarray(turned)
