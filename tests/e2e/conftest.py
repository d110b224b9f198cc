from __future__ import annotations

import cv2
import numpy as np
import pytest


@pytest.fixture(scope="session")
def jpeg() -> bytes:
    """A 320×240 picture with a red square in it."""
    picture = np.full((240, 320, 3), 90, np.uint8)
    picture[80:160, 100:180] = (0, 0, 255)
    return bytes(cv2.imencode(".jpg", picture)[1])
