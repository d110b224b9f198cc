"""Results are made small by rounding: well under a pixel, and under what a score means."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from inference.types import Floats

COORDINATE_DIGITS = 4
"""A ten-thousandth of the frame."""
SCORE_DIGITS = 3


def rounded(values: Floats, digits: int) -> NDArray[np.float64]:
    """In float64, so that each number is as short in JSON as it looks: a rounded float32 is not."""
    return np.asarray(np.round(values.astype(np.float64), digits), np.float64)
