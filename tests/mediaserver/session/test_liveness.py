from __future__ import annotations

import pytest

from mediaserver.session.liveness import Liveness
from signaling.messages import EndReason


@pytest.fixture
def liveness() -> Liveness:
    return Liveness(100.0, media_timeout_s=3, no_media_timeout_s=30)


def test_media_has_some_time_to_come(liveness: Liveness) -> None:
    assert liveness.verdict(129.9) is None
    assert liveness.verdict(130.1) is EndReason.NO_MEDIA


def test_once_it_came_it_may_pause_for_a_moment_only(liveness: Liveness) -> None:
    liveness.heard_media(102.0)
    assert liveness.verdict(104.9) is None
    assert liveness.verdict(105.1) is EndReason.MEDIA_TIMEOUT


def test_a_new_offer_long_after_gets_the_time_of_a_first_one(liveness: Liveness) -> None:
    liveness.heard_media(200.0)
    liveness.expect_media(202.0)
    assert liveness.verdict(231.0) is None
    assert liveness.verdict(232.1) is EndReason.NO_MEDIA


def test_jpeg_frames_keep_a_connection_whose_track_fell_silent(liveness: Liveness) -> None:
    liveness.heard_media(110.0)  # a JPEG frame
    liveness.heard_media(106.0)  # the track's last packet, looked up again
    assert liveness.verdict(112.0) is None
