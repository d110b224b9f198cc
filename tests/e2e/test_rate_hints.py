"""The server asks for what it can use, and the client sends no more."""

from __future__ import annotations

from pathlib import Path

from mediaserver.client.client import InferenceClient
from signaling.messages import Rate, ServerMessage
from signaling.pipeline_config import PipelineConfig
from tests.support.clips import write_clip
from tests.support.live_server import live_server
from tests.support.slow_engine import SlowEngine


async def test_a_client_of_a_slow_server_sends_less_and_smaller(tiny_models: Path, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "long.mp4", seconds=7)
    async with live_server(tiny_models, lambda engine: SlowEngine(engine, 0.15)) as live:
        async with InferenceClient(live.socket_url, pipeline=PipelineConfig(pose=False)) as client:
            sizes, sent_after_3_s = [], 0
            async for result in client.stream(clip):
                sizes.append((result.frame.width, result.frame.height))
                if result.frame.pts_ms < 3500:
                    sent_after_3_s = client.stats.frames_sent
            sent_late = client.stats.frames_sent - sent_after_3_s
    assert sizes[0] == (640, 480)
    assert sizes[-1] == (320, 240)
    # About 6.5 inferences a second: ten frames a second are asked for, of a camera that gives thirty.
    assert sent_late < 3.5 * 20


async def test_no_more_is_asked_for_than_the_clip_gives(tiny_models: Path, tmp_path: Path) -> None:
    hints: list[Rate] = []

    class Watching(InferenceClient):
        def _take(self, message: ServerMessage) -> None:
            if isinstance(message, Rate):
                hints.append(message)
            super()._take(message)

    clip = write_clip(tmp_path / "slow.mp4", seconds=5, fps=8)
    async with live_server(tiny_models) as live:
        async with Watching(live.socket_url, pipeline=PipelineConfig(pose=False)) as client:
            async for _ in client.stream(clip):
                pass
        assert client.stats.frames_skipped <= 2  # those that a busy machine makes late
    assert hints
    assert {hint.max_framerate for hint in hints} == {8.0}
