"""A clip goes in over real WebRTC, or as JPEG, and what is in it comes back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from mediaserver.client.client import Channel, InferenceClient
from signaling.messages import Event, OcrEvent, Result
from signaling.pipeline_config import PipelineConfig
from tests.support.clips import truth
from tests.support.live_server import LiveServer, live_server

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def live(tiny_models: Path) -> AsyncIterator[LiveServer]:
    async with live_server(tiny_models) as running:
        yield running


async def play(client: InferenceClient, clip: Path) -> list[Result]:
    return [result async for result in client.stream(clip)]


@pytest.mark.parametrize("channel", list(Channel))
async def test_boxes_lie_where_the_objects_were_in_that_very_frame(
    live: LiveServer, clip: Path, channel: Channel
) -> None:
    sent_before = live.metric("results_sent_total", channel="datachannel")
    async with InferenceClient(live.socket_url, channel=channel) as client:
        results = await play(client, clip)
    assert len(results) > 10
    placed = [(client.timeline.locate(result.frame), result) for result in results]
    errors = []
    for moment, result in placed:
        if moment is None:
            continue
        red = next(item for item in result.detections or [] if item.label == "red")
        x, _, width, _ = truth(moment)["red"]
        errors.append(abs(red.box[0] + red.box[2] / 2 - x - width / 2))
    assert len(errors) > 5
    # The square moves; a box that belonged to another frame would be off by more.
    assert sorted(errors)[len(errors) // 2] < 0.05
    by_data_channel = live.metric("results_sent_total", channel="datachannel") - sent_before
    assert (by_data_channel > 0) == (channel is Channel.DATACHANNEL)


async def test_every_result_names_its_frame(live: LiveServer, clip: Path) -> None:
    began_ms = time.time() * 1000
    async with InferenceClient(live.socket_url) as client:
        results = await play(client, clip)
    assert [result.seq for result in results] == sorted({result.seq for result in results})
    assert all(result.frame.rtp_timestamp is not None for result in results)
    times = [result.frame.pts_ms for result in results]
    assert times == sorted(times)
    timed = [result.frame for result in results if not result.frame.capture_time_estimated]
    assert timed, "no sender report came in time"
    for frame in timed:
        assert began_ms - 100 < frame.capture_time_ms < time.time() * 1000 + 100
    for result in results:
        assert {"wait", "prepare", "detect", "pose", "total"} <= result.timing_ms.keys()
        assert result.timing_ms["total"] >= result.timing_ms["detect"]
        assert result.dropped.keys() >= {"sink", "stale"}


async def test_a_person_is_one_id_in_both_lists_and_keeps_it(live: LiveServer, clip: Path) -> None:
    async with InferenceClient(live.socket_url) as client:
        results = await play(client, clip)
    ids = {item.id for result in results for item in result.detections or [] if item.label == "red"}
    assert len(ids) == 1


async def test_what_is_off_is_null_and_can_be_switched_on_in_mid_stream(live: LiveServer, clip: Path) -> None:
    pipeline = PipelineConfig(detect=True, pose=False, flow=False)
    async with InferenceClient(live.socket_url, pipeline=pipeline) as client:
        seen: list[Result] = []
        async for result in client.stream(clip):
            seen.append(result)
            if len(seen) == 5:
                await client.configure(PipelineConfig(detect=False, pose=True, flow=True))
    first, last = seen[0], seen[-1]
    assert first.detections is not None
    assert (first.poses, first.motion) == (None, None)
    assert last.detections is None
    assert last.poses is not None
    assert last.motion is not None


async def test_the_threshold_is_the_client_s_choice(live: LiveServer, clip: Path) -> None:
    async with InferenceClient(live.socket_url, pipeline=PipelineConfig(detect_threshold=0.0)) as client:
        weakest = [
            min(item.score for item in result.detections or [])
            async for result in client.stream(clip, duration_s=0.5)
        ]
    assert min(weakest) < 0.1


async def test_ocr_when_triggered_comes_as_an_event_and_in_a_result(live: LiveServer, clip: Path) -> None:
    events: list[Event] = []
    results: list[Result] = []
    async with asyncio.timeout(60), InferenceClient(live.socket_url, on_event=events.append) as client:
        while not any(result.texts is not None for result in results):  # OCR is slow on a busy machine
            async for result in client.stream(clip):
                if not results:
                    await client.request_ocr()
                results.append(result)
    assert [type(event) for event in events] == [OcrEvent]
    assert events[0].frame is not None
    assert events[0].texts is not None
    assert sum(result.texts is not None for result in results) == 1


async def test_two_clients_at_once_get_each_their_own(live: LiveServer, clip: Path) -> None:
    async with InferenceClient(live.socket_url) as first, InferenceClient(live.socket_url) as second:
        assert first.welcome.session != second.welcome.session
        both = await asyncio.gather(play(first, clip), play(second, clip))
    assert all(len(results) > 5 for results in both)


async def test_six_clients_share_fairly(live: LiveServer, clip: Path) -> None:
    counts: list[int] = []

    async def one() -> None:
        async with InferenceClient(live.socket_url) as client:
            counts.append(len(await play(client, clip)))

    async with asyncio.TaskGroup() as group:
        for _ in range(6):
            group.create_task(one())
    assert min(counts) >= 5
    assert min(counts) >= 0.4 * max(counts), counts
