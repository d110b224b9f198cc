from __future__ import annotations

import pytest

from mediaserver.session.liveness import Liveness
from signaling.messages import EndReason


@pytest.fixture
def liveness() -> Liveness:
    return Liveness(100.0, media_timeout_s=3, no_media_timeout_s=30, pause_timeout_s=600)


def test_media_has_some_time_to_come(liveness: Liveness) -> None:
    assert liveness.verdict(129.9) is None
    assert liveness.verdict(130.1) is EndReason.NO_MEDIA


def test_once_it_came_it_may_pause_for_a_moment_only(liveness: Liveness) -> None:
    liveness.heard_media(102.0)
    assert liveness.verdict(104.9) is None
    assert liveness.verdict(105.1) is EndReason.MEDIA_TIMEOUT


def test_media_may_pause_while_its_sender_is_there(liveness: Liveness) -> None:
    liveness.heard_media(102.0)
    assert not liveness.is_sender_wanted(102.5)
    assert liveness.is_sender_wanted(103.0)
    liveness.heard_sender(104.0)
    assert not liveness.is_sender_wanted(104.5)
    assert (liveness.is_paused(104.9), liveness.verdict(104.9)) == (False, None)
    assert (liveness.is_paused(105.1), liveness.verdict(105.1)) == (True, None)
    liveness.heard_media(106.0)
    assert not liveness.is_paused(106.1)


def test_a_sender_that_goes_while_it_pauses_is_not_waited_for(liveness: Liveness) -> None:
    liveness.heard_media(102.0)
    liveness.heard_sender(150.0)
    assert liveness.verdict(152.9) is None
    assert liveness.verdict(153.1) is EndReason.MEDIA_TIMEOUT


def test_a_pause_ends_some_time(liveness: Liveness) -> None:
    liveness.heard_media(102.0)
    liveness.heard_sender(703.0)
    assert liveness.verdict(701.9) is None
    assert liveness.verdict(702.1) is EndReason.PAUSE_TIMEOUT


def test_a_sender_that_never_sent_a_frame_does_not_pause(liveness: Liveness) -> None:
    liveness.heard_sender(129.0)
    assert not liveness.is_sender_wanted(130.1)
    assert (liveness.is_paused(130.1), liveness.verdict(130.1)) == (False, EndReason.NO_MEDIA)


def test_a_new_offer_long_after_gets_the_time_of_a_first_one(liveness: Liveness) -> None:
    liveness.heard_media(200.0)
    liveness.expect_media(202.0)
    assert liveness.verdict(231.0) is None
    assert liveness.verdict(232.1) is EndReason.NO_MEDIA


def test_jpeg_frames_keep_a_connection_whose_track_fell_silent(liveness: Liveness) -> None:
    liveness.heard_media(110.0)  # a JPEG frame
    liveness.heard_media(106.0)  # the track's last packet, looked up again
    assert liveness.verdict(112.0) is None
