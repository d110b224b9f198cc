"""A client whose connection is lost comes back to its session by itself."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from mediaserver.client.client import InferenceClient, Unreachable
from signaling.messages import EndReason, PipelineConfig, Result
from tests.support.clips import write_clip
from tests.support.live_server import LiveServer, live_server, raw_socket
from tests.support.waiting import eventually


def cut_connections(live: LiveServer) -> None:
    """As a network would: the server's side of every TCP connection is gone without a word."""
    for connection in live.server._connections:
        transport = connection._socket._request.transport
        assert transport is not None
        transport.abort()


async def test_a_lost_connection_is_taken_up_again_as_the_same_session(tiny_models: Path, clip: Path) -> None:
    async with live_server(tiny_models) as live:
        pipeline = PipelineConfig(pose=False)
        async with InferenceClient(live.socket_url, pipeline=pipeline) as client:
            session = client.welcome.session
            results: list[Result] = []
            async for result in client.stream(clip):
                results.append(result)
                if len(results) == 8:
                    cut_connections(live)
            assert client.stats.reconnects == 1
            assert client.welcome.resumed
            assert client.welcome.session == session
        numbers = [result.seq for result in results]
        assert numbers == sorted(set(numbers)), "the numbering goes on"
        assert numbers[-1] > 8
        assert {item.id for result in results for item in result.detections or []} == {1}, "so do the tracks"
        assert all(result.poses is None for result in results), "and the choice of models"
        assert live.metric("sessions_resumed_total") == 1


async def test_a_second_connection_with_the_token_ends_the_first(tiny_models: Path) -> None:
    async with live_server(tiny_models) as live, raw_socket(live) as first, raw_socket(live) as second:
        await first.send_str('{"type":"hello"}')
        welcome = await first.receive_json(timeout=5)
        await second.send_str(json.dumps({"type": "hello", "resume": welcome["resume_token"]}))
        again = await second.receive_json(timeout=5)
        assert again["resumed"]
        assert again["session"] == welcome["session"]
        closing = await first.receive_json(timeout=5)
        assert (closing["type"], closing["reason"]) == ("closing", "replaced")


async def test_an_unknown_token_starts_anew_and_says_so(tiny_models: Path) -> None:
    async with live_server(tiny_models) as live, raw_socket(live) as socket:
        await socket.send_str('{"type":"hello","resume":"no-such-token"}')
        assert not (await socket.receive_json(timeout=5))["resumed"]


async def test_after_the_window_the_client_gives_up_with_words(tiny_models: Path, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "long.mp4", seconds=20, size=(320, 240))
    async with live_server(tiny_models, resume_window_s=0.5) as live:
        async with InferenceClient(live.socket_url) as client:

            async def watch() -> None:
                async for _ in client.stream(clip):
                    pass

            watching = asyncio.create_task(watch())
            await eventually(lambda: client.stats.results > 2)
            live.server.pause(60, if_idle=False)  # from now on every connect gets 503
            cut_connections(live)
            with pytest.raises(Unreachable, match="try again"):
                await watching
        assert live.ended(EndReason.CLIENT_GONE) == 1
