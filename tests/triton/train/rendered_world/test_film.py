from __future__ import annotations

import av
import numpy as np
import pytest

from mediaserver.paths import sample_clip
from rendered_world import film
from rendered_world.person import Person

CLIP = sample_clip()


def texts_at(time_s: float) -> list[str]:
    return [truth.text for truth in film.frame(round(time_s * film.FPS), 320)[1] if truth.text]


def test_signs_appear_one_after_the_other() -> None:
    for shown in film.SIGNS:
        assert texts_at(shown.start + 0.1) == texts_at(shown.end - 0.1) == [shown.text]
        assert texts_at(shown.end + 0.1) == []


def test_there_is_always_someone_and_each_kind_of_thing_comes_by() -> None:
    seen: set[str] = set()
    for number in range(0, film.FRAMES, 15):
        labels = [truth.label for truth in film.frame(number, 320)[1]]
        assert "person" in labels
        seen.update(labels)
    assert seen == {"person", "car", "bus", "dog", "bird", "traffic light", "sign"}


def test_people_move_no_faster_than_people() -> None:
    for number in range(film.FRAMES - 1):
        now = {id(item.look): item for item in film.cast(number / film.FPS) if isinstance(item, Person)}
        then = {
            id(item.look): item for item in film.cast((number + 1) / film.FPS) if isinstance(item, Person)
        }
        for who in now.keys() & then.keys():
            assert abs(now[who].x - then[who].x) < 3


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_the_clip_in_the_repository_is_this_film(suffix: str) -> None:
    clip = CLIP.with_suffix(suffix)
    with av.open(str(clip)) as container:
        (stream,) = container.streams.video
        assert (stream.width, stream.height, float(stream.average_rate or 0)) == (640, 480, film.FPS)
        pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    assert len(pictures) == film.FRAMES
    for number in range(0, film.FRAMES, 60):
        drawn, _ = film.frame(number)
        difference = pictures[number].astype(float) - drawn
        assert 10 * np.log10(255**2 / np.square(difference).mean()) > 30  # dB
    assert clip.stat().st_size < 1_500_000


@pytest.mark.parametrize("width", [320, 640])
def test_frames_of_any_size_have_one_truth(width: int) -> None:
    picture, truths = film.frame(120, width)
    assert picture.shape[1] == width
    assert [truth.label for truth in truths] == [truth.label for truth in film.frame(120)[1]]
