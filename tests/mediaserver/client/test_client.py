from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import UNSET

from mediaserver.client.client import Channel, ClientError, InferenceClient
from mediaserver.client.errors import Refused
from signaling.messages import Error, ErrorCode
from signaling.pipeline_config import PipelineConfig
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


async def test_clients_keep_their_wishes_to_themselves(tiny_models: Path, short_clip: Path) -> None:
    """What the caller passed in stays his, whatever two clients that were given it are told later."""
    shared = PipelineConfig(pose=False, ocr_labels=["red"])
    change = PipelineConfig(detect=False, ocr_labels=["blue"])
    async with live_server(tiny_models) as live:
        async with (
            InferenceClient(live.socket_url, pipeline=shared) as first,
            InferenceClient(live.socket_url, pipeline=shared) as second,
        ):
            await first.configure(change)
            assert change.ocr_labels is not UNSET
            change.ocr_labels.append("green")
            found = {client: [r async for r in client.stream(short_clip)][-1] for client in (first, second)}
            assert found[first].detections is None
            assert found[second].detections is not None
            assert first._pipeline == PipelineConfig(detect=False, pose=False, ocr_labels=["blue"])
    assert shared == PipelineConfig(pose=False, ocr_labels=["red"])


def test_a_token_that_cannot_be_sent_is_one_clear_line() -> None:
    with pytest.raises(ClientError, match="not UTF-8"):
        InferenceClient(token="\udcff")


async def test_a_wish_that_cannot_be_sent_changes_nothing() -> None:
    client = InferenceClient(pipeline=PipelineConfig(pose=False))
    with pytest.raises(ClientError, match="not connected"):
        await client.configure(PipelineConfig(pose=True))
    assert client._pipeline == PipelineConfig(pose=False)


@pytest.mark.parametrize("scheme", ["ws", "wss", "foo"])
async def test_a_url_that_does_not_work_is_named_without_what_may_be_a_secret(scheme: str) -> None:
    url = f"{scheme}://ada:hunter2@127.0.0.1:9/ws/inference?key=hunter3#hunter4"
    with pytest.raises(ClientError, match="no server answers") as refused:
        await InferenceClient(url).__aenter__()
    assert str(refused.value).startswith(f"{scheme}://***@127.0.0.1:9/ws/inference?***: ")
    assert "hunter" not in str(refused.value)


async def test_the_address_of_the_page_is_no_websocket(tiny_models: Path) -> None:
    async with live_server(tiny_models) as live:
        with pytest.raises(Refused, match="that of a server is at /ws/inference"):
            await InferenceClient(live.http_url).__aenter__()
