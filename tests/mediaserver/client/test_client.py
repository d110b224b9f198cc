from __future__ import annotations

from pathlib import Path

import pytest

from mediaserver.client.client import Channel, InferenceClient
from signaling.messages import Error, ErrorCode, PipelineConfig
from tests.support.clips import write_clip
from tests.support.live_server import live_server
from tests.support.tiny_models import write_tiny_models


@pytest.fixture
def short_clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "short.mp4", seconds=1, size=(320, 240))


async def test_one_clip_can_be_played_after_another(tiny_models: Path, short_clip: Path) -> None:
    async with live_server(tiny_models) as live, InferenceClient(live.socket_url) as client:
        numbers = [[result.seq async for result in client.stream(short_clip)] for _ in range(2)]
        assert all(numbers)
        assert numbers[1][0] > numbers[0][-1], "the session goes on"
        assert client.stats.reconnects == 0


async def test_who_has_seen_enough_may_leave(
    tiny_models: Path, short_clip: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with live_server(tiny_models) as live, InferenceClient(live.socket_url) as client:
        results = client.stream(short_clip)
        await anext(results)
        await results.aclose()
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == []


@pytest.mark.parametrize("channel", Channel)
async def test_a_problem_is_told_and_the_rest_goes_on(
    tmp_path: Path, short_clip: Path, channel: Channel
) -> None:
    models = write_tiny_models(tmp_path)
    (models / "colour_blobs_pose.onnx").unlink()
    problems: list[Error] = []
    async with live_server(models) as live:
        pipeline = PipelineConfig(pose=True)
        async with InferenceClient(
            live.socket_url, pipeline=pipeline, channel=channel, on_problem=problems.append
        ) as client:
            assert [result async for result in client.stream(short_clip)]
    assert [problem.code for problem in problems] == [ErrorCode.MODEL_UNAVAILABLE]
