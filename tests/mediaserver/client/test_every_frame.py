"""``stream(…, every_frame=True)`` against a server in the test's own event loop."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import msgspec
import pytest

from mediaserver.client.client import InferenceClient, Unreachable
from signaling.messages import Event, OcrEvent, PipelineConfig, Result
from tests.support.live_server import live_server
from tests.support.odd_clips import remuxed, ruined, write_odd_clip


async def results(client: InferenceClient, clip: Path, duration_s: float | None = None) -> list[Result]:
    return [result async for result in client.stream(clip, duration_s, every_frame=True)]


def without_times(result: Result) -> bytes:
    return msgspec.json.encode(msgspec.structs.replace(result, timing_ms={}))


async def test_each_frame_is_inferred_once_in_order_at_its_own_time(tiny_models: Path, clip: Path) -> None:
    async with live_server(tiny_models) as live, InferenceClient(live.socket_url) as client:
        found = await results(client, clip)
        assert [result.seq for result in found] == list(range(1, 91))
        assert [result.frame.pts_ms for result in found] == pytest.approx(
            [number * 1000 / 30 for number in range(90)], abs=0.06
        )
        assert client.timeline.locate(found[30].frame) == pytest.approx(1.0, abs=0.001)
        assert sum(found[-1].dropped.values()) == 0


async def test_two_runs_give_the_same(tiny_models: Path, clip: Path) -> None:
    """The second in another session, though of the same client."""
    pipeline = PipelineConfig(detect=True, pose=True, flow=True)
    async with (
        live_server(tiny_models) as live,
        InferenceClient(live.socket_url, pipeline=pipeline) as client,
    ):
        first, second = await results(client, clip), await results(client, clip)
    assert list(map(without_times, first)) == list(map(without_times, second))


async def test_texts_come_with_the_frame_that_they_were_read_in(tmp_path: Path) -> None:
    clip, events = write_odd_clip(tmp_path / "clip.mp4", frames=40, size=(320, 240)), list[Event]()
    async with (
        live_server(tmp_path) as live,  # with the built-in models, which read
        InferenceClient(live.socket_url, pipeline=PipelineConfig(ocr=True), on_event=events.append) as client,
    ):
        read = [result for result in await results(client, clip) if result.texts is not None]
    assert len(read) == 1, "once, when the picture has been still for half a second of the clip"
    assert read[0].texts_frame == read[0].frame
    assert read[0].frame.pts_ms < 1000
    assert [event.frame for event in events if isinstance(event, OcrEvent)] == [read[0].frame]


async def test_who_takes_results_slowly_misses_none(tiny_models: Path, clip: Path) -> None:
    """The server ends a session whose camera is silent for so long; this is no camera."""
    async with (
        live_server(tiny_models, liveness_timeout_s=1.0, max_frame_age_ms=1.0, max_result_age_ms=1.0) as live,
        InferenceClient(live.socket_url) as client,
    ):
        numbers = []
        async for result in client.stream(clip, 0.2, every_frame=True):
            numbers.append(result.seq)
            if result.seq == 2:
                await asyncio.sleep(2.0)
        assert numbers == [1, 2, 3, 4, 5, 6]


async def test_live_and_every_frame_go_in_turns(tiny_models: Path, clip: Path) -> None:
    async with live_server(tiny_models, max_sessions=1) as live, InferenceClient(live.socket_url) as client:
        assert [result async for result in client.stream(clip, 0.5)]
        assert len(await results(client, clip, 0.5)) == 15
        assert [result async for result in client.stream(clip, 0.5)]


async def test_damaged_frames_are_left_out_and_the_others_keep_their_times(
    tiny_models: Path, tmp_path: Path
) -> None:
    source = write_odd_clip(tmp_path / "source.avi", frames=10, codec="mjpeg", pixels="yuvj420p")
    damaged = remuxed(source, tmp_path / "damaged.avi", lambda number, data: ruined(data, number == 4))
    async with live_server(tiny_models) as live, InferenceClient(live.socket_url) as client:
        found = await results(client, damaged)
        assert client.stats.damaged == 1
    assert [round(result.frame.pts_ms * 30 / 1000) for result in found] == [0, 1, 2, 3, 5, 6, 7, 8, 9]


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (2000, 8)])
async def test_any_size_goes_through(tiny_models: Path, tmp_path: Path, size: tuple[int, int]) -> None:
    clip = write_odd_clip(tmp_path / "clip.mkv", frames=2, codec="ffv1", pixels="bgr0", size=size)
    async with live_server(tiny_models) as live, InferenceClient(live.socket_url) as client:
        assert len(await results(client, clip)) == 2


async def test_a_connection_that_is_lost_is_told_and_not_gone_on_with(tiny_models: Path, clip: Path) -> None:
    async with live_server(tiny_models) as live, InferenceClient(live.socket_url) as client:
        frames = client.stream(clip, every_frame=True)
        async with contextlib.aclosing(frames):
            await anext(frames)
            draining = asyncio.create_task(live.server.drain())
            with pytest.raises(Unreachable, match="begin again"):
                async for _ in frames:
                    pass
            await draining
