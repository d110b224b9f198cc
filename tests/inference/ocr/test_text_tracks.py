from __future__ import annotations

import cv2
import numpy as np
import pytest

from inference.ocr.text_tracks import TextTracks
from inference.types import FrameIdentity, Image, Text

GAP_MS = 100.0


@pytest.fixture(scope="module")
def wall() -> Image:
    """Something behind a sign that is not all the same."""
    noise = np.random.default_rng(3).integers(60, 160, (24, 32, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(noise, (320, 240), interpolation=cv2.INTER_CUBIC), np.uint8)


def frame(wall: Image, x: int | None, words: str = "HOTEL", y: int = 100) -> Image:
    """A sign whose left side is at ``x`` pixels of 320, or none."""
    picture = wall.copy()
    if x is not None:
        cv2.rectangle(picture, (x, y), (x + 100, y + 40), (245, 245, 235), -1)
        cv2.putText(picture, words, (x + 8, y + 28), cv2.FONT_HERSHEY_SIMPLEX, 0.8, (20, 20, 40), 2)
    return picture


def text(x: int, words: str = "HOTEL", y: int = 100) -> Text:
    left, top, right, bottom = (x + 5) / 320, (y + 6) / 240, (x + 92) / 320, (y + 34) / 240
    return Text(words, 0.99, ((left, top), (right, top), (right, bottom), (left, bottom)))


def name(number: int) -> FrameIdentity:
    return FrameIdentity(None, number * GAP_MS, None, 320, 240)


def read(tracks: TextTracks, number: int, picture: Image, *texts: Text) -> list[int]:
    """OCR of one frame that ends before the next comes; the ids of what it read."""
    tracks.follow(name(number), picture)
    tracks.begin_reading(name(number))
    return [item.id for item in tracks.end_reading(texts)]


def left_of(tracks: TextTracks) -> list[float]:
    """Where the texts are now: their left sides, pixels."""
    return [item.quad[0][0] * 320 - 5 for item in tracks.current]


def test_before_anything_was_read_nothing_is_known(wall: Image) -> None:
    assert TextTracks().follow(name(0), frame(wall, 20)) is None


@pytest.mark.parametrize("step", [0, 3, -4, 14])
def test_a_text_goes_where_the_sign_under_it_goes(wall: Image, step: int) -> None:
    tracks = TextTracks()
    (known,) = read(tracks, 0, frame(wall, 90), text(90))
    for number in range(1, 6):
        (followed,) = tracks.follow(name(number), frame(wall, 90 + step * number)) or ()
        assert (followed.id, followed.text) == (known, "HOTEL")
        assert left_of(tracks) == [pytest.approx(90 + step * number, abs=2)]


def test_what_moved_while_it_was_read_is_where_it_is_now(wall: Image) -> None:
    tracks = TextTracks()
    tracks.follow(name(0), frame(wall, 60))
    tracks.begin_reading(name(0))
    for number in range(1, 30):
        tracks.follow(name(number), frame(wall, 60 + 4 * number))
    (found,) = tracks.end_reading([text(60)])
    assert found.quad == text(60).quad, "as it was read"
    assert left_of(tracks) == [pytest.approx(60 + 4 * 29, abs=3)]


@pytest.mark.parametrize("gone", [None, "another sign", "out of the picture"])
def test_a_text_is_gone_when_its_sign_is(wall: Image, gone: str | None) -> None:
    tracks = TextTracks()
    read(tracks, 0, frame(wall, 200), text(200))
    if gone == "another sign":
        assert tracks.follow(name(1), frame(wall, 200, "10 KM")) == ()
    elif gone is None:
        assert tracks.follow(name(1), frame(wall, None)) == ()
    else:
        for number in range(1, 12):
            last = tracks.follow(name(number), frame(wall, 200 + 12 * number))
        assert last == ()


def test_a_text_that_is_read_again_keeps_its_id_whatever_one_letter_was_taken_for(wall: Image) -> None:
    tracks = TextTracks()
    first = read(tracks, 0, frame(wall, 60), text(60))
    tracks.follow(name(1), frame(wall, 70))
    assert read(tracks, 2, frame(wall, 80), text(80, "H0TEL")) == first
    assert tracks.current[0].text == "H0TEL", "the newest reading counts"


def test_another_text_in_its_place_and_the_same_in_another_place_are_new(wall: Image) -> None:
    tracks = TextTracks()
    (first,) = read(tracks, 0, frame(wall, 60), text(60))
    (second,) = read(tracks, 1, frame(wall, 60, "EXIT 7"), text(60, "EXIT 7"))
    (third,) = read(tracks, 2, frame(wall, 200, "EXIT 7", y=30), text(200, "EXIT 7", y=30))
    assert len({first, second, third}) == 3
    assert [item.id for item in tracks.current] == [third], "what is not read again is gone"


def test_a_text_that_was_hidden_for_a_moment_has_its_id_again(wall: Image) -> None:
    tracks = TextTracks()
    first = read(tracks, 0, frame(wall, 60), text(60))
    assert tracks.follow(name(1), frame(wall, None)) == ()
    assert read(tracks, 20, frame(wall, 60), text(60)) == first
    assert tracks.follow(name(21), frame(wall, None)) == ()
    assert read(tracks, 200, frame(wall, 60), text(60)) != first, "after more than ten seconds it is another"


def test_frames_of_another_size_start_afresh(wall: Image) -> None:
    tracks = TextTracks()
    read(tracks, 0, frame(wall, 60), text(60))
    assert tracks.follow(name(1), frame(wall, 60)[:180]) == ()


def test_a_reading_of_a_frame_that_nobody_followed_has_ids_and_is_not_followed() -> None:
    tracks = TextTracks()
    tracks.begin_reading(name(0))
    (found,) = tracks.end_reading([text(60)])
    assert found.id > 0
    assert tracks.current == ()
