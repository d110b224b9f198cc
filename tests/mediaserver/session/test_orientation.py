from __future__ import annotations

import cv2
import numpy as np
import pytest

from mediaserver.session.orientation import as_shown
from signaling.jpeg import Orientation
from tests.support.exif import with_orientation

CODED = np.repeat(np.random.default_rng(1).integers(0, 2, (6, 8, 1), np.uint8) * 255, 3, axis=2)
"""Squares, black and white, that look the same in no other orientation."""


@pytest.mark.parametrize("orientation", Orientation)
def test_a_picture_is_turned_as_opencv_turns_it(orientation: Orientation) -> None:
    large = CODED.repeat(8, axis=0).repeat(8, axis=1)
    jpeg = with_orientation(bytes(cv2.imencode(".jpg", large)[1]), orientation)
    shown = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert shown is not None
    turned = as_shown(CODED, orientation)
    assert turned.flags.c_contiguous
    np.testing.assert_array_equal(turned, (shown[4::8, 4::8] > 127) * np.uint8(255))
