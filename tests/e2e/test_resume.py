"""A client whose connection is lost comes back to its session by itself."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from aiohttp import ClientWebSocketResponse

from mediaserver.client.channel import Channel
from mediaserver.client.client import InferenceClient, Unreachable
from mediaserver.session.session import Session
from signaling.messages import EndReason, Event, OcrEvent, Result
from signaling.pipeline_config import PipelineConfig
from tests.support.clips import write_clip
from tests.support.live_server import LiveServer, live_server, raw_socket
from tests.support.waiting import eventually


def cut_connections(live: LiveServer) -> None:
    """As a network would: the server's side of every TCP connection is gone without a word."""
    for connection in live.server._connections:
        transport = connection._socket._request.transport
        assert transport is not None
        transport.abort()


async def play(client: InferenceClient, clip: Path) -> None:
    async for _ in client.stream(clip):
        pass


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
            watching = asyncio.create_task(play(client, clip))
            await eventually(lambda: client.stats.results > 2)
            live.server._shortage.note("no ports")  # from now on every connect gets 503
            cut_connections(live)
            with pytest.raises(Unreachable, match="try again"):
                await watching
        assert live.ended(EndReason.CLIENT_GONE) == 1


def sign() -> bytes:
    """A picture with a word in it, as JPEG."""
    picture = np.full((240, 320, 3), 255, np.uint8)
    cv2.putText(picture, "EXIT", (60, 140), cv2.FONT_HERSHEY_SIMPLEX, 2.5, (0, 0, 0), 6)
    return bytes(cv2.imencode(".jpg", picture)[1])


def session_of(live: LiveServer) -> Session:
    (connection,) = live.server._connections
    assert connection._service is not None
    return connection._service.session


async def texts(socket: ClientWebSocketResponse) -> dict[str, Any]:
    """The next event of OCR, while pictures are sent."""
    async with asyncio.timeout(20):
        while True:
            await socket.send_bytes(sign())
            while (message := await socket.receive_json())["type"] != "result":
                if message.get("event") == "ocr":
                    return dict(message)
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("attempt", range(3))
async def test_texts_come_though_the_socket_drops_between_trigger_and_answer(
    tiny_models: Path, attempt: int
) -> None:
    async with live_server(tiny_models) as live:
        async with raw_socket(live) as socket:
            await socket.send_json({"type": "hello", "channel": "websocket"})
            welcome = await socket.receive_json(timeout=5)
            session = session_of(live)
            await socket.send_json({"type": "trigger"})
            await socket.send_bytes(sign())
            await eventually(lambda: session.pipeline._ocr is not None)
            cut_connections(live)
            await eventually(lambda: live.metric("connections_open") == 0)
        async with raw_socket(live) as socket:
            resume = {"resume": welcome["resume_token"], "last_event_id": 0}
            await socket.send_json({"type": "hello", "channel": "websocket", **resume})
            event = await texts(socket)
        assert event["id"] == 1
        assert [found["text"] for found in event["texts"]] == ["EXIT"]


async def test_events_that_a_client_has_not_got_come_again_and_no_others(tiny_models: Path) -> None:
    async with live_server(tiny_models) as live:
        resume: dict[str, object] = {}
        for count in (1, 2):
            async with raw_socket(live) as socket:
                await socket.send_json({"type": "hello", "channel": "websocket", **resume})
                welcome = await socket.receive_json(timeout=5)
                await socket.send_json({"type": "trigger"})
                event = await texts(socket)
                assert event["id"] == count, "what it has got does not come again"
                cut_connections(live)
                await eventually(lambda: live.metric("connections_open") == 0)
            resume = {"resume": welcome["resume_token"], "last_event_id": count}
        async with raw_socket(live) as socket:
            await socket.send_json({"type": "hello", "channel": "websocket", **resume, "last_event_id": 1})
            assert (await texts(socket))["id"] == 2, "it was lost on its way"


async def test_our_client_gets_each_event_once(tiny_models: Path, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", seconds=8, size=(320, 240))
    ids: list[int] = []

    def take(event: Event) -> None:
        if isinstance(event, OcrEvent):
            ids.append(event.id)

    async with live_server(tiny_models) as live:
        async with InferenceClient(live.socket_url, channel=Channel.JPEG, on_event=take) as client:
            playing = asyncio.create_task(play(client, clip))
            await eventually(lambda: client.stats.results > 2)
            for expected in ([1], [1, 2]):
                pipeline = session_of(live).pipeline
                await client.request_ocr()
                await eventually(lambda: pipeline._ocr is not None)  # noqa: B023
                cut_connections(live)
                await eventually(lambda: ids == expected)  # noqa: B023
            await playing
            assert client.stats.reconnects == 2
    assert ids == [1, 2]
