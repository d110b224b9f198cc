from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from mediaserver.client.annotate import check_format, draw, write_annotated
from mediaserver.errors import OutputError
from signaling.findings import FrameInfo, WireDetection, WirePose, WireSegment, WireText
from signaling.messages import Result
from tests.support.odd_clips import write_odd_clip

QUAD = ((0.1, 0.8), (0.4, 0.8), (0.4, 0.9), (0.1, 0.9))


def result(
    detections: list[WireDetection] | None = None,
    poses: list[WirePose] | None = None,
    texts: list[WireText] | None = None,
    segments: list[WireSegment] | None = None,
) -> Result:
    frame = FrameInfo(None, 0.0, None, 640, 480)
    return Result(1, frame, detections, poses, texts, None, {}, {}, segments)


def changed(picture: np.ndarray) -> np.ndarray:
    """Rows and columns, normalised, of the pixels that are not black: [n, 2]."""
    return np.argwhere(picture.any(axis=2)) / picture.shape[:2]


def test_a_box_is_drawn_where_it_is() -> None:
    picture = np.zeros((480, 640, 3), np.uint8)
    draw(picture, result([WireDetection(1, "cup", 0.9, (0.25, 0.5, 0.5, 0.25), (0.1, 0.0))]), ())
    rows, columns = changed(picture).T
    assert columns.min() == pytest.approx(0.25, abs=0.01)
    assert columns.max() == pytest.approx(0.75, abs=0.01)
    assert rows.max() == pytest.approx(0.75, abs=0.01)


def test_an_outline_is_filled_so_that_the_picture_shows_through() -> None:
    picture = np.full((480, 640, 3), 100, np.uint8)
    triangle = [(0.25, 0.75), (0.5, 0.25), (0.75, 0.75)]
    draw(picture, result([WireDetection(4, "cup", 0.9, (0.0, 0.0, 0.1, 0.1), None)]), ())
    draw(picture, result(segments=[WireSegment(4, "cup", 0.9, (0.25, 0.25, 0.5, 0.5), triangle)]), ())
    edge, inside, outside = picture[359, 320], picture[300, 320], picture[130, 500]
    assert edge.tolist() == picture[0, 30].tolist(), "it has the colour of the box with its id"
    assert np.abs(inside - (0.35 * edge + 0.65 * 100)).max() < 2
    assert outside.tolist() == [100, 100, 100]


def test_a_thing_without_an_outline_is_drawn_as_its_box() -> None:
    picture = np.zeros((480, 640, 3), np.uint8)
    draw(picture, result([], segments=[WireSegment(1, "cup", 0.9, (0.25, 0.5, 0.5, 0.25), [])]), ())
    rows, columns = changed(picture).T
    assert (columns.min(), columns.max()) == pytest.approx((0.25, 0.75), abs=0.01)
    assert rows.max() == pytest.approx(0.75, abs=0.01)


def test_a_label_at_the_right_edge_is_as_long_as_anywhere() -> None:
    widths = []
    for left in (0.1, 0.97):
        picture = np.zeros((480, 640, 3), np.uint8)
        draw(picture, result([WireDetection(1, "umbrella", 0.9, (left, 0.5, 0.01, 0.01), None)]), ())
        columns = np.flatnonzero(picture[230].any(axis=1))
        widths.append(columns.max() - columns.min())
    assert widths[0] == widths[1] > 60


def test_weak_keypoints_are_left_out() -> None:
    picture = np.zeros((480, 640, 3), np.uint8)
    keypoints = [(0.5, 0.5, 0.9)] + [(0.9, 0.9, 0.1)] * 16
    draw(picture, result(poses=[WirePose(1, 0.9, (0.4, 0.4, 0.2, 0.2), keypoints)]), ())
    assert np.abs(changed(picture) - 0.5).max() < 0.02


def test_what_lies_outside_the_picture_does_no_harm() -> None:
    picture = np.zeros((48, 64, 3), np.uint8)
    keypoints = [(-3.0, 7.0, 0.9)] * 17
    draw(picture, result([WireDetection(9, "x" * 64, 1.0, (0.9, 0.0, 0.5, 2.0), None)]), ())
    draw(picture, result(poses=[WirePose(9, 0.9, (0.0, 0.0, 1.0, 1.0), keypoints)]), ())
    outline = [(-3.0, 7.0), (9.0, -2.0), (0.5, 0.5)]
    draw(picture, result(segments=[WireSegment(9, "x" * 64, 1.0, (0.9, 0.0, 0.5, 2.0), outline)]), ())
    draw(picture, result(), [WireText("ß→漢", 1.0, ((-1.0, -1.0), (2.0, -1.0), (2.0, 2.0), (-1.0, 2.0)))])


def test_each_frame_shows_the_result_of_its_moment_and_texts_stay_a_while(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "annotated.mp4"
    shown: list[float] = []
    box = [WireDetection(1, "thing", 0.9, (0.02, 0.3, 0.1, 0.4), None)]
    moments = [
        (0.5, result(box, texts=[WireText("EXIT", 0.9, QUAD)])),
        (1.0, result([])),
        (1.5, result(texts=[])),
    ]
    write_annotated(clip, out, moments, shown.append)
    assert shown == sorted(shown)
    with av.open(str(out)) as video, av.open(str(clip)) as original:
        pairs = zip(video.decode(video=0), original.decode(video=0), strict=False)
        marks = [
            (frame.time, *_marks(frame.to_ndarray(format="rgb24"), source.to_ndarray(format="rgb24")))
            for frame, source in pairs
        ]
    assert marks[-1][0] == pytest.approx(1.5, abs=0.04)
    for time_s, has_box, has_text in marks:
        assert has_box == (0.5 <= time_s < 0.999), time_s
        assert has_text == (0.5 <= time_s < 1.499), time_s


def test_an_annotated_clip_has_the_times_of_the_clip(tmp_path: Path) -> None:
    def times_ms(number: int) -> int:
        return 33 * number if number < 20 else 660 + 200 * (number - 20)

    uneven = write_odd_clip(tmp_path / "uneven.mkv", frames=30, times_ms=times_ms)
    for name in ("out.mp4", "out.mkv", "out.ts"):
        write_annotated(uneven, tmp_path / name, [(0.0, result()), (9.0, result())])
        assert _times(tmp_path / name) == pytest.approx(_times(uneven), abs=0.001)


@pytest.mark.parametrize(
    ("size", "written"),
    [((1, 1), (2, 2)), ((3, 5), (4, 6)), ((161, 119), (162, 120))],
)
def test_any_size_can_be_annotated(tmp_path: Path, size: tuple[int, int], written: tuple[int, int]) -> None:
    clip = write_odd_clip(tmp_path / "clip.mkv", frames=3, codec="ffv1", pixels="bgr0", size=size)
    write_annotated(clip, tmp_path / "out.mp4", [(0.0, result()), (1.0, result())])
    with av.open(str(tmp_path / "out.mp4")) as video:
        assert {(frame.width, frame.height) for frame in video.decode(video=0)} == {written}


def test_a_clip_that_changes_its_size_keeps_the_first(tmp_path: Path) -> None:
    parts = [write_odd_clip(tmp_path / f"{width}.ts", frames=5, size=(width, 120)) for width in (160, 320)]
    (tmp_path / "both.ts").write_bytes(b"".join(part.read_bytes() for part in parts))
    write_annotated(tmp_path / "both.ts", tmp_path / "out.mp4", [(0.0, result()), (9.0, result())])
    with av.open(str(tmp_path / "out.mp4")) as video:
        assert [(frame.width, frame.height) for frame in video.decode(video=0)] == [(160, 120)] * 10


@pytest.mark.parametrize("name", ["clip.xyz", "clip.wav", "clip.webm", "clip.avi", "clip"])
def test_a_format_that_cannot_hold_the_video_is_known_before(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutputError, match=rf"cannot write .*{name}: .*name it \.mp4"):
        check_format(tmp_path / name)
    assert not (tmp_path / name).exists()


def _times(path: Path) -> list[float]:
    with av.open(str(path)) as video:
        times = [frame.time for frame in video.decode(video=0)]
    return [time - times[0] for time in times]


def _marks(picture: np.ndarray, source: np.ndarray) -> tuple[bool, bool]:
    """Whether there is something drawn on the box's left side and on the text's lower side."""
    difference = np.abs(picture.astype(int) - source).max(axis=2)
    return difference[200:300, 10:16].max() > 60, difference[428:436, 80:240].max() > 60
