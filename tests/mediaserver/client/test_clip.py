from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from mediaserver.client.clip import ClipError, ClipPlayer
from tests.support.clips import write_clip


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
    with pytest.raises(ClipError, match="not a video file"):
        await play(ClipPlayer(300 * "x"))


async def test_a_clip_whose_end_is_missing_says_so(tmp_path: Path, clip: Path) -> None:
    path = tmp_path / "cut.mp4"
    path.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    with pytest.raises(ClipError, match=r"cut\.mp4"):
        await play(ClipPlayer(path))


async def test_frames_without_times_are_refused_with_words(tmp_path: Path) -> None:
    async with ClipPlayer(write_clip(tmp_path / "raw.h264", seconds=0.2)) as player:
        with pytest.raises(ClipError, match="have no times"):
            await player.next_frame()
