"""Rounds results so that they are short in JSON, to well under a pixel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from inference.types import Floats

COORDINATE_DIGITS = 4
"""A ten-thousandth of the frame."""
SCORE_DIGITS = 3


def rounded(values: Floats, digits: int) -> NDArray[np.float64]:
    """Rounds in float64: a rounded float32 would have many digits in JSON."""
    return np.asarray(np.round(values.astype(np.float64), digits), np.float64)
