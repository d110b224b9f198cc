"""A publisher that came by WHIP, and those who watch it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import jwt
import pytest
import pytest_asyncio
from aiortc import RTCConfiguration, RTCPeerConnection

from mediaserver.client.client import InferenceClient
from mediaserver.settings.types import TokenKeys
from signaling.auth import Audience
from tests.support.live_server import LiveServer, live_server, raw_socket
from tests.support.token_vectors import KEYS
from tests.support.waiting import eventually
from tests.support.whip_client import next_of, offer_of, watching, whip_client

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def live(tiny_models: Path) -> AsyncIterator[LiveServer]:
    async with live_server(tiny_models, resume_window_s=20) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def guarded(tiny_models: Path) -> AsyncIterator[LiveServer]:
    async with live_server(tiny_models, token_keys=TokenKeys(json.dumps(KEYS))) as running:
        yield running


def token(subject: str, audience: Audience = Audience.SESSION, watch: object = None) -> str:
    claims = {"aud": audience, "sub": subject, "exp": int(time.time()) + 3600}
    if watch is not None:
        claims["watch"] = watch
    return jwt.encode(claims, KEYS["k1"], algorithm="HS256", headers={"kid": "k1"})


async def test_results_go_to_every_watcher_and_to_a_data_channel_if_there_is_one(live: LiveServer) -> None:
    async with contextlib.AsyncExitStack() as stack:
        early = await stack.enter_async_context(watching(live, "door"))
        assert (await early.receive_json(timeout=5))["state"] == "unpublished"
        client = await stack.enter_async_context(whip_client(live, "/whip/door", data_channel=True))
        late = [await stack.enter_async_context(watching(live, "door")) for _ in range(3)]
        for socket in (early, *late):
            await next_of(socket, "event", state="published")
            result = await next_of(socket, "result")
            assert [found["label"] for found in result["detections"]] == ["red"]
            assert result["frame"]["rtp_timestamp"] is not None
        await eventually(lambda: client.results)
        assert json.loads(client.results[0])["type"] == "result"
        assert live.metric("watchers") == 4
        assert await client.delete() == 200
        for socket in (early, *late):
            await next_of(socket, "event", state="unpublished")
    await eventually(lambda: live.metric("watchers") == 0)


async def test_capture_times_come_with_the_sender_s_reports(live: LiveServer) -> None:
    async with whip_client(live, "/whip/door") as client, watching(live, "door") as socket:
        async with asyncio.timeout(15):
            while (await next_of(socket, "result"))["frame"]["capture_time_ms"] is None:
                pass
        await client.delete()


async def test_a_publisher_that_went_without_a_word_comes_back_to_its_session(live: LiveServer) -> None:
    timeouts = live.ended("media_timeout")
    async with watching(live, "yard") as socket:
        async with whip_client(live, "/whip/yard"):
            first = await next_of(socket, "result")
        await next_of(socket, "event", state="unpublished")
        assert live.ended("media_timeout") == timeouts + 1
        resumed = live.metric("sessions_resumed_total")
        async with whip_client(live, "/whip/yard") as client:
            await next_of(socket, "event", state="published")
            again = await next_of(socket, "result")
            assert again["seq"] > first["seq"], "the numbering goes on"
            assert live.metric("sessions_resumed_total") == resumed + 1
            await client.delete()


async def test_a_publisher_that_is_not_missed_yet_is_replaced(live: LiveServer) -> None:
    async with watching(live, "gate") as socket, whip_client(live, "/whip/gate") as first:
        await next_of(socket, "result")
        async with whip_client(live, "/whip/gate") as second:
            await eventually(lambda: live.ended("replaced") == 1)
            assert await first.delete() == 404, "its resource is gone"
            for _ in range(3):
                await next_of(socket, "result")
            assert await second.delete() == 200


async def test_a_session_of_a_socket_is_watched_by_its_id(live: LiveServer, clip: Path) -> None:
    async with InferenceClient(live.socket_url) as client:
        async with watching(live, client.welcome.session) as socket:
            stream = client.stream(clip)
            own = [(await anext(stream)).seq for _ in range(5)]
            assert (await next_of(socket, "result"))["seq"] in own
            await stream.aclose()


async def test_who_watches_says_nothing_else(live: LiveServer) -> None:
    async with watching(live, "door") as socket:
        for message in (
            {"type": "trigger"},
            {"type": "configure", "pipeline": {}},
            {"type": "offer", "sdp": "v"},
        ):
            await socket.send_json(message)
            assert (await next_of(socket, "error"))["code"] == "unexpected_message"
        await socket.send_bytes(b"\xff\xd8")
        assert (await next_of(socket, "error"))["code"] == "unexpected_message"
        await socket.send_json({"type": "ping", "id": 7})
        assert (await next_of(socket, "pong"))["id"] == 7
        await socket.send_json({"type": "bye"})
        assert (await next_of(socket, "closing"))["reason"] == "bye"


async def test_a_watcher_takes_no_place(tiny_models: Path) -> None:
    async with live_server(tiny_models, max_sessions=1) as live, contextlib.AsyncExitStack() as stack:
        for _ in range(3):
            await stack.enter_async_context(watching(live, "door"))
        assert live.server.sessions == 0
        await stack.enter_async_context(whip_client(live, "/whip/door"))


async def test_publications_are_counted_like_other_sessions(tiny_models: Path) -> None:
    async with live_server(tiny_models) as live:
        async with whip_client(live, data_channel=True) as client:
            await eventually(lambda: live.metric("frames_inferred_total") > 3)
            assert (live.metric("sessions_live"), live.metric("connections_open")) == (1, 1)
            assert live.metric("frames_received_total", source="track") > 0
            await client.delete()
        assert (live.metric("sessions_live"), live.metric("connections_open")) == (0, 0)
        assert live.metric("sessions_ended_total", reason="bye") == 1


async def test_a_publisher_without_media_ends(tiny_models: Path) -> None:
    async with live_server(tiny_models, no_media_timeout_s=1) as live:
        peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        peer.addTransceiver("video", direction="sendonly")
        async with aiohttp.ClientSession(live.http_url) as http:
            headers = {"Content-Type": "application/sdp"}
            async with http.post("/whip", data=await offer_of(peer), headers=headers) as response:
                assert response.status == 201
            await peer.close()
            await eventually(lambda: live.ended("no_media") == 1)
            async with http.delete(response.headers["Location"]) as ended:
                assert ended.status == 404


# --- who may watch ---


@pytest.mark.parametrize(
    "watcher",
    [
        token("ada"),
        token("ada", Audience.WATCH),
        token("bob", watch=["ada"]),
        token("bob", Audience.WATCH, watch=["carol", "ada"]),
    ],
    ids=["own", "own, to watch alone", "by claim", "by claim, to watch alone"],
)
async def test_the_publisher_s_subject_watches_and_who_its_token_allows(
    guarded: LiveServer, watcher: str
) -> None:
    async with (
        whip_client(guarded, "/whip/door", token=token("ada")),
        watching(guarded, "door", watcher) as socket,
    ):
        await next_of(socket, "result")


@pytest.mark.parametrize(
    "watcher",
    [token("eve"), token("eve", watch=["bob"]), token("eve", Audience.WATCH, watch=[])],
    ids=["another", "another's friend", "nobody's friend"],
)
async def test_all_others_cannot_tell_it_from_a_stream_that_is_not_there(
    guarded: LiveServer, watcher: str
) -> None:
    async with whip_client(guarded, "/whip/door", token=token("ada")) as client:
        await eventually(lambda: guarded.metric("frames_inferred_total") > 3)
        (session,) = {connection._service.session.id for connection in guarded.server._connections}  # type: ignore[union-attr]
        for name in ("door", session, "nothing"):
            async with watching(guarded, name, watcher) as socket:
                assert (await socket.receive_json(timeout=5))["state"] == "unpublished"
                with pytest.raises(TimeoutError):
                    await socket.receive_json(timeout=0.3)
        await client.delete()


@pytest.mark.parametrize(
    ("watcher", "words"),
    [
        (None, "needed"),
        (token("ada", Audience.CONTROL), "something else"),
        (token("ada", watch="ada"), "no list"),
        (token("ada", watch=[1]), "no list"),
    ],
)
async def test_without_a_good_token_nobody_watches(
    guarded: LiveServer, watcher: str | None, words: str
) -> None:
    async with raw_socket(guarded) as socket:
        await socket.send_json({"type": "hello", "watch": "door", "token": watcher})
        error = await socket.receive_json(timeout=5)
        assert (error["code"], error["fatal"]) == ("unauthorized", True)
        assert words in error["message"]


async def test_a_token_to_watch_opens_no_session(guarded: LiveServer) -> None:
    async with raw_socket(guarded) as socket:
        await socket.send_json({"type": "hello", "token": token("ada", Audience.WATCH)})
        assert (await socket.receive_json(timeout=5))["code"] == "unauthorized"
