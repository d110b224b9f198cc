from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import av
import pytest

from mediaserver.client.clip import ClipError, ClipPlayer
from mediaserver.client.clip_file import ClipFile
from tests.support.clips import write_clip
from tests.support.odd_clips import remuxed, ruined, write_odd_clip


async def play(player: ClipPlayer) -> list[float]:
    times = []
    async with player:
        while (frame := await player.next_frame()) is not None:
            times.append(frame.time)
    return times


async def test_it_plays_in_real_time(clip: Path) -> None:
    began = time.monotonic()
    times = await play(ClipPlayer(clip, duration_s=0.5))
    assert 0.4 < time.monotonic() - began < 2
    assert times[0] == 0
    assert times[-1] < 0.5
    assert times == sorted(times)


async def test_late_frames_are_skipped_and_counted(clip: Path) -> None:
    async with ClipPlayer(clip) as player:
        await player.next_frame()
        await asyncio.sleep(0.5)
        frame = await player.next_frame()
        assert frame is not None
        assert frame.time > 0.4
        assert player.skipped > 10


async def test_a_lower_rate_skips_every_second_frame(clip: Path) -> None:
    player = ClipPlayer(clip, duration_s=1)
    player.max_framerate = 15
    assert len(await play(player)) <= 16


async def test_a_smaller_picture_keeps_its_shape(clip: Path) -> None:
    async with ClipPlayer(clip) as player:
        player.scale_resolution_down_by = 2.0
        frame = await player.next_frame()
        assert frame is not None
        assert (frame.width, frame.height, frame.time) == (320, 240, 0)


async def test_length_is_known(clip: Path) -> None:
    async with ClipPlayer(clip) as player:
        assert player.duration_s == pytest.approx(3, abs=0.1)
    async with ClipPlayer(clip, duration_s=1) as player:
        assert player.duration_s == 1


@pytest.mark.parametrize(
    ("content", "words"), [(None, "no such file"), (b"no video at all", "not a video file")]
)
async def test_what_cannot_be_played_says_why(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "clip.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ClipError, match=words):
        await play(ClipPlayer(path))


async def test_a_name_that_no_file_has_is_no_exception_to_it() -> None:
    """Up to Python 3.13 the system's words come through: such a name is too long."""
    with pytest.raises(ClipError, match=r"not a video file|no such file"):
        await play(ClipPlayer(300 * "x"))


async def test_a_clip_whose_end_is_missing_says_so(tmp_path: Path, clip: Path) -> None:
    path = tmp_path / "cut.mp4"
    path.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    with pytest.raises(ClipError, match=r"cut\.mp4"):
        await play(ClipPlayer(path))


async def test_what_is_damaged_is_counted_and_the_rest_is_played(clip: Path, tmp_path: Path) -> None:
    damaged = remuxed(clip, tmp_path / "damaged.mp4", lambda number, data: ruined(data, number in (20, 21)))
    async with ClipPlayer(damaged) as player:
        frames = 0
        while await player.next_frame() is not None:
            frames += 1
        assert player.damaged == 2
        assert frames + player.skipped == 88


async def test_where_decoding_is_slower_than_real_time_frames_come_as_they_are_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = write_odd_clip(tmp_path / "fast.mkv", frames=90, times_ms=lambda number: 2 * number)
    frames = ClipFile.frames

    def slowly(file: ClipFile) -> Iterator[av.VideoFrame]:
        for frame in frames(file):
            time.sleep(0.01)  # of the 2 ms that there are
            yield frame

    monkeypatch.setattr(ClipFile, "frames", slowly)
    async with ClipPlayer(clip) as player:
        times = []
        while (frame := await player.next_frame()) is not None:
            times.append(frame.time)
        assert player.slowed_s > 0.3
    assert times[-1] > 0.15, "it goes on to the end of the clip"
    assert len(times) > 30


async def test_a_clip_plays_from_its_first_frame_whatever_its_clock_says(tmp_path: Path) -> None:
    late = write_odd_clip(tmp_path / "late.ts", frames=30, times_ms=lambda number: 3_600_000 + 33 * number)
    times = await play(ClipPlayer(late, duration_s=0.5))
    assert times[0] == 0
    assert 1 < len(times) <= 16


async def test_a_stream_without_times_plays_at_its_rate(tmp_path: Path) -> None:
    times = await play(ClipPlayer(write_clip(tmp_path / "raw.h264", seconds=0.4)))
    assert times[0] == 0
    assert 0.3 < times[-1] < 0.4


async def test_a_picture_that_stands_for_long_is_sent_again(tmp_path: Path) -> None:
    still = write_odd_clip(tmp_path / "still.mkv", frames=4, times_ms=[0, 33, 2500, 2533].__getitem__)
    times = await play(ClipPlayer(still))
    assert times == pytest.approx([0, 0.033, 1.033, 2.033, 2.5, 2.533], abs=0.001)


async def test_a_picture_that_is_sent_again_is_as_small_as_is_wanted_now(tmp_path: Path) -> None:
    still = write_odd_clip(tmp_path / "still.mkv", frames=2, times_ms=[0, 2500].__getitem__)
    sizes = []
    async with ClipPlayer(still) as player:
        for scale in (1.0, 4.0, 2.0, 1.0):
            player.scale_resolution_down_by = scale
            frame = await player.next_frame()
            assert frame is not None
            sizes.append((frame.width, frame.height))
    assert sizes == [(160, 120), (40, 30), (80, 60), (160, 120)]
