from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from mediaserver.client.clip_file import ClipFile
from mediaserver.client.errors import ClipError
from tests.support.odd_clips import remuxed, ruined, turned, with_other_track, write_odd_clip

HOUR_MS = 3_600_000


def read(path: Path) -> tuple[list[av.VideoFrame], ClipFile]:
    with ClipFile(path) as clip:
        return list(clip.frames()), clip


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    return write_odd_clip(tmp_path / "plain.mp4")


@pytest.mark.parametrize(
    ("suffix", "codec", "pixels"),
    [
        ("mp4", "libx264", "yuv420p"),
        ("avi", "mjpeg", "yuvj420p"),
        ("webm", "libvpx", "yuv420p"),
        ("webm", "libvpx-vp9", "yuv420p"),
    ],
)
def test_damaged_packets_are_left_out_and_counted(
    tmp_path: Path, suffix: str, codec: str, pixels: str
) -> None:
    source = write_odd_clip(tmp_path / f"source.{suffix}", codec=codec, pixels=pixels)
    damaged = remuxed(source, tmp_path / f"damaged.{suffix}", lambda n, data: ruined(data, n in (20, 21)))
    frames, clip = read(damaged)
    assert (len(frames), clip.damaged) == (58, 2)
    assert frames[-1].time == pytest.approx(59 / 30, abs=0.01)


def test_a_file_in_which_nothing_can_be_decoded_says_so(tmp_path: Path, plain: Path) -> None:
    with pytest.raises(ClipError, match="no frame of it can be decoded"):
        read(remuxed(plain, tmp_path / "damaged.mp4", lambda n, data: ruined(data)))


@pytest.mark.parametrize(
    ("matrix", "size", "corner"),
    [
        ((1, 0, 0, 1), (160, 120), "upper left"),
        ((0, 1, -1, 0), (120, 160), "upper right"),
        ((-1, 0, 0, -1), (160, 120), "lower right"),
        ((0, -1, 1, 0), (120, 160), "lower left"),
        ((-1, 0, 0, 1), (160, 120), "upper right"),
    ],
)
def test_a_turned_clip_is_upright(
    tmp_path: Path, plain: Path, matrix: tuple[int, int, int, int], size: tuple[int, int], corner: str
) -> None:
    frames, _ = read(turned(plain, tmp_path / "turned.mp4", matrix))
    assert {(frame.width, frame.height) for frame in frames} == {size}
    picture = frames[0].to_ndarray(format="rgb24").astype(int)
    rows, columns = np.argwhere(picture[..., 0] - picture[..., 1] > 80).mean(axis=0) / picture.shape[:2]
    assert f"{'upper' if rows < 0.5 else 'lower'} {'left' if columns < 0.5 else 'right'}" == corner
    assert len({frame.time for frame in frames}) == 60


@pytest.mark.parametrize(
    ("pixel_shape", "size"),
    [
        (Fraction(2), (320, 120)),
        (Fraction(16, 11), (233, 120)),
        (Fraction(1, 3), (160, 360)),
        (Fraction(1, 1000), (160, 120)),
    ],
)
def test_pixels_that_are_no_squares_become_squares(
    tmp_path: Path, pixel_shape: Fraction, size: tuple[int, int]
) -> None:
    path = write_odd_clip(tmp_path / "clip.mp4", 2, pixel_shape=pixel_shape)
    frames, _ = read(path)
    assert {(frame.width, frame.height) for frame in frames} == {size}


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_picture_of_the_cover_is_not_the_clip(tmp_path: Path, plain: Path, suffix: str) -> None:
    frames, _ = read(with_other_track(plain, tmp_path / f"cover.{suffix}", frames=1, size=(640, 480)))
    assert len(frames) == 60
    assert (frames[0].width, frames[0].height) == (160, 120)


def test_of_two_tracks_that_move_the_larger_is_the_clip(tmp_path: Path, plain: Path) -> None:
    frames, _ = read(with_other_track(plain, tmp_path / "two.mkv", frames=60, size=(80, 60)))
    assert (frames[0].width, frames[0].height) == (160, 120)


def test_a_clock_that_jumps_forward_is_a_cut(tmp_path: Path) -> None:
    def times(number: int) -> int:
        return 33 * number + (HOUR_MS if number >= 30 else 0)

    _check_evenly_shown(read(write_odd_clip(tmp_path / "jump.mkv", times_ms=times))[0])


def test_a_clock_that_jumps_back_is_a_cut(tmp_path: Path) -> None:
    late = write_odd_clip(tmp_path / "late.ts", frames=30, times_ms=lambda n: HOUR_MS + 33 * n)
    early = write_odd_clip(tmp_path / "early.ts", frames=30)
    path = tmp_path / "jump.ts"
    path.write_bytes(late.read_bytes() + early.read_bytes())
    _check_evenly_shown(read(path)[0])


def _check_evenly_shown(frames: list[av.VideoFrame]) -> None:
    assert len(frames) == 60
    steps = np.diff([frame.time for frame in frames])
    assert 0 < steps.min() <= steps.max() < 0.1


def test_uneven_times_stay(tmp_path: Path) -> None:
    def times(number: int) -> int:
        return 33 * number if number < 20 else 660 + 200 * (number - 20)

    frames, _ = read(write_odd_clip(tmp_path / "uneven.mkv", frames=30, times_ms=times))
    assert [round(1000 * frame.time) for frame in frames] == [times(number) for number in range(30)]


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [
        ("plain.gif", "gif", "rgb8"),
        ("ten bits.mov", "prores_ks", "yuv422p10le"),
        ("clear.apng", "apng", "rgba"),
        ("grey.mkv", "ffv1", "gray"),
        ("a:b %03d ünï.mp4", "libx264", "yuv444p"),
    ],
)
def test_what_players_play_is_read_under_any_name(tmp_path: Path, name: str, codec: str, pixels: str) -> None:
    frames, clip = read(write_odd_clip(tmp_path / name, frames=10, codec=codec, pixels=pixels))
    assert len(frames) == 10
    assert clip.share_read > 0.4


def test_a_size_that_changes_midway_is_taken_as_it_comes(tmp_path: Path) -> None:
    small = write_odd_clip(tmp_path / "small.ts", frames=10)
    large = write_odd_clip(tmp_path / "large.ts", frames=10, size=(320, 120))
    path = tmp_path / "both.ts"
    path.write_bytes(small.read_bytes() + large.read_bytes())
    assert [frame.width for frame in read(path)[0]] == [160] * 10 + [320] * 10


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("clip.mp4", None, "no such file"),
        ("clip.mp4", b"", "the file is empty"),
        ("clip.mp4", b"words " * 100, "not a video file"),
        ("clip.txt", b"words " * 100, "no video track"),
        ("clip.srt", b"1\n00:00:01,000 --> 00:00:02,000\nwords\n\n" * 3, "no video track"),
    ],
)
def test_what_is_no_clip_says_why(tmp_path: Path, name: str, content: bytes | None, words: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ClipError, match=words) as raised:
        read(path)
    assert name in str(raised.value)


@pytest.mark.parametrize("path", ["/dev/null", "/dev/zero"])
def test_a_device_is_no_file(path: str) -> None:
    with pytest.raises(ClipError, match="not a file"):
        read(Path(path))


def test_a_recording_that_was_cut_off_before_its_index_says_so(tmp_path: Path, plain: Path) -> None:
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(plain.read_bytes()[: plain.stat().st_size // 2])
    with pytest.raises(ClipError, match="is cut off: the index"):
        read(cut)
