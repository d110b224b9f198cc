"""Whoever falls silent is noticed soon, and everything that was his is freed."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import aiohttp

from tests.support.live_server import LiveServer, live_server, raw_socket
from tests.support.peer_pair import BarcodeCamera
from tests.support.waiting import eventually
from tests.support.webrtc_attacks import keyframes_that_never_end
from tests.support.webrtc_client import webrtc_client

HELLO = json.dumps({"type": "hello", "channel": "websocket"})


async def closing_reason(socket: aiohttp.ClientWebSocketResponse) -> str:
    while True:
        message = await socket.receive_json(timeout=10)
        if message["type"] == "closing":
            return str(message["reason"])


async def test_a_client_that_says_nothing_is_let_go(tiny_models: Path) -> None:
    async with live_server(tiny_models) as live, raw_socket(live) as socket:
        assert await closing_reason(socket) == "hello_timeout"


async def test_media_that_stops_with_its_path_ends_the_connection_with_a_reason(tiny_models: Path) -> None:
    """The socket is well; UDP gets no way through any more."""
    async with live_server(tiny_models, liveness_timeout_s=1.0) as live, webrtc_client(live) as client:
        client.sender.replaceTrack(BarcodeCamera(15))
        await more_frames(live)
        client.cut()
        await eventually(lambda: client.end_reason == "media_timeout")
        assert "paused" not in client.states
        await eventually(lambda: live.metric("connections_open") == 0, 5)


async def test_a_camera_that_is_switched_off_pauses_the_session(tiny_models: Path) -> None:
    async with live_server(tiny_models, liveness_timeout_s=1.0) as live, webrtc_client(live) as client:
        camera = BarcodeCamera(15)  # the same one: aiortc's encoder bears no times that go back
        for pauses in (1, 2):
            client.sender.replaceTrack(camera)
            await more_frames(live)
            client.sender.replaceTrack(None)
            await eventually(lambda count=pauses: client.states.count("paused") == count)
            await asyncio.sleep(2.5)  # several times what silence may last
        client.sender.replaceTrack(camera)
        await more_frames(live)
        await eventually(lambda: client.states == ["paused", "ready"] * 2)
        assert client.end_reason is None


async def test_a_sender_of_jpeg_frames_pauses_while_its_socket_is_well(
    tiny_models: Path, jpeg: bytes
) -> None:
    """A small camera that sends pictures when something moves."""
    async with live_server(tiny_models, liveness_timeout_s=1.0) as live, raw_socket(live) as socket:
        await socket.send_str(HELLO)
        for _ in range(2):
            await socket.send_bytes(jpeg)
            assert await state(socket) == "paused"
            await socket.send_bytes(jpeg)
            assert await state(socket) == "ready"


async def test_a_pause_ends_some_time(tiny_models: Path, jpeg: bytes) -> None:
    async with (
        live_server(tiny_models, liveness_timeout_s=1.0, pause_timeout_s=2.0) as live,
        raw_socket(live) as socket,
    ):
        await socket.send_str(HELLO)
        await socket.send_bytes(jpeg)
        assert await closing_reason(socket) == "pause_timeout"
        await eventually(lambda: live.metric("connections_open") == 0, 5)


async def more_frames(live: LiveServer) -> None:
    """Waits until frames of a track come."""
    before = live.metric("frames_received_total", source="track")
    await eventually(lambda: live.metric("frames_received_total", source="track") > before)


async def state(socket: aiohttp.ClientWebSocketResponse) -> str:
    """The next one that the server tells."""
    while True:
        message = await socket.receive_json(timeout=10)
        if message.get("event") == "state":
            return str(message["state"])


async def test_a_client_without_a_first_frame_is_let_go(tiny_models: Path) -> None:
    async with live_server(tiny_models, no_media_timeout_s=1.0) as live, raw_socket(live) as socket:
        await socket.send_str(HELLO)
        assert await closing_reason(socket) == "no_media"


async def test_a_client_whose_packets_never_become_a_frame_is_let_go(tiny_models: Path) -> None:
    async with live_server(tiny_models, no_media_timeout_s=2.0) as live, webrtc_client(live) as client:
        sending = asyncio.create_task(keyframes_that_never_end(client, 20.0))
        await eventually(lambda: live.ended("no_media") == 1)
        sending.cancel()


async def test_a_client_that_vanishes_is_noticed_within_five_seconds(tiny_models: Path, jpeg: bytes) -> None:
    """Its machine is gone: no pong and no TCP reset come back, only silence."""
    async with live_server(tiny_models, no_media_timeout_s=60) as live, aiohttp.ClientSession() as http:
        socket = await http.ws_connect(live.socket_url, autoping=False)
        await socket.send_str(HELLO)
        await eventually(lambda: live.metric("connections_open") == 1)
        await eventually(lambda: live.ended("ping_timeout") == 1, 5)
        await eventually(lambda: live.metric("connections_open") == 0, 1)


async def test_a_client_that_drops_the_socket_is_noticed_at_once(tiny_models: Path) -> None:
    async with live_server(tiny_models) as live:
        async with raw_socket(live) as socket:
            await socket.send_str(HELLO)
            await socket.receive_json(timeout=5)
        await eventually(lambda: live.ended("client_gone") == 1, 2)


async def test_a_full_server_says_when_to_come_back(tiny_models: Path) -> None:
    async with live_server(tiny_models, max_sessions=1) as live, raw_socket(live) as socket:
        await socket.send_str(HELLO)
        await socket.receive_json(timeout=5)
        async with (
            aiohttp.ClientSession() as http,
            http.get(live.socket_url.replace("ws", "http", 1)) as refused,
        ):
            assert refused.status == 503
            assert int(refused.headers["Retry-After"]) > 0
            assert (await refused.json())["error"] == "full"
        assert live.metric("connections_refused_total", reason="full") == 1
        await still_served(socket)


async def still_served(socket: aiohttp.ClientWebSocketResponse) -> None:
    await socket.send_str('{"type":"ping","id":1}')
    assert (await socket.receive_json(timeout=5))["type"] == "pong"


async def test_draining_tells_every_client_why(tiny_models: Path) -> None:
    async with live_server(tiny_models) as live, raw_socket(live) as first, raw_socket(live) as second:
        for socket in (first, second):
            await socket.send_str(HELLO)
            await socket.receive_json(timeout=5)
        draining = asyncio.create_task(live.server.drain())
        for socket in (first, second):
            assert await closing_reason(socket) == "server_shutdown"
            await socket.receive(timeout=5)
        await draining
        assert live.metric("connections_open") == 0
        async with aiohttp.ClientSession() as http:
            async with http.get(f"{live.http_url}readyz") as response:
                assert response.status == 503
                assert (await response.json())["state"] == "draining"
            async with http.get(f"{live.http_url}healthz") as response:
                assert response.status == 200
