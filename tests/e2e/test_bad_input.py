"""Whatever a client sends, it gets a typed error or a clean end, and nobody else notices."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import cv2
import numpy as np
import pytest
import pytest_asyncio
from aiortc import AudioStreamTrack, RTCConfiguration, RTCPeerConnection, VideoStreamTrack
from yarl import URL

from signaling.messages import MAX_JPEG_BYTES, MAX_TEXT_BYTES
from tests.support.live_server import LiveServer, live_server, raw_socket
from tests.support.waiting import eventually

HELLO = {"type": "hello", "channel": "websocket"}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def live(tiny_models: Path) -> AsyncIterator[LiveServer]:
    async with live_server(tiny_models, max_sessions=8) as running:
        yield running


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def say(socket: aiohttp.ClientWebSocketResponse, message: dict[str, Any]) -> dict[str, Any]:
    """Sends a message and returns the answer."""
    await socket.send_str(json.dumps(message))
    return await answer(socket)


async def answer(socket: aiohttp.ClientWebSocketResponse) -> dict[str, Any]:
    reply: dict[str, Any] = await socket.receive_json(timeout=5)
    return reply


async def goodbye(socket: aiohttp.ClientWebSocketResponse) -> str:
    """The reason in ``closing``, after which the socket must end."""
    closing = await answer(socket)
    assert closing["type"] == "closing"
    assert (await socket.receive(timeout=5)).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
    return str(closing["reason"])


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("not json", "bad_message"),
        ("[1, 2]", "bad_message"),
        ('{"type": 5}', "bad_message"),
        ('{"type": "dance"}', "unknown_type"),
        ('{"type": "configure", "pipeline": {"detect": "yes"}}', "bad_message"),
        ('{"type": "configure", "pipeline": {"ocr_min_interval_s": -1}}', "bad_message"),
        ('{"type": "candidate", "candidate": null}', "unexpected_message"),
        ('{"type": "hello"}', "unexpected_message"),
    ],
)
async def test_a_bad_message_gets_a_typed_error_and_the_session_goes_on(
    live: LiveServer, text: str, code: str
) -> None:
    async with raw_socket(live) as socket:
        assert (await say(socket, HELLO))["type"] == "welcome"
        await socket.send_str(text)
        error = await answer(socket)
        assert (error["type"], error["code"], error["fatal"]) == ("error", code, False)
        assert (await say(socket, {"type": "ping", "id": 7})) | {"server_time_ms": 0} == {
            "type": "pong",
            "id": 7,
            "server_time_ms": 0,
        }


async def test_who_asks_for_a_socket_and_goes_leaves_no_traceback(
    live: LiveServer, caplog: pytest.LogCaptureFixture
) -> None:
    url = URL(live.http_url)
    upgrade = "GET /ws/inference HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    key = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    for _ in range(10):
        _, writer = await asyncio.open_connection(url.host, url.port)
        writer.write((upgrade + key).encode())
        writer.transport.abort()
        await asyncio.sleep(0.01)
    await eventually(lambda: live.metric("connections_open") == 0)
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []


async def test_what_comes_before_hello_ends_the_connection(live: LiveServer) -> None:
    async with raw_socket(live) as socket:
        error = await say(socket, {"type": "ping"})
        assert (error["code"], error["fatal"]) == ("unexpected_message", True)
        assert await goodbye(socket) == "protocol_error"


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("rubbish", "bad_message", "malformed"),
        ('{"type": "dance"}', "unknown_type", "dance"),
        ('{"type": "hello", "watch": "a b"}', "bad_message", "$.watch"),
    ],
)
async def test_a_first_message_that_cannot_be_parsed_ends_the_connection(
    live: LiveServer, text: str, code: str, words: str
) -> None:
    """It was meant as ``hello``: without an end its client would wait for ``welcome``."""
    async with raw_socket(live) as socket:
        await socket.send_str(text)
        error = await answer(socket)
        assert (error["type"], error["code"], error["fatal"]) == ("error", code, True)
        assert words in error["message"]
        assert await goodbye(socket) == "protocol_error"


async def test_another_protocol_version_is_refused_with_words(live: LiveServer) -> None:
    async with raw_socket(live) as socket:
        error = await say(socket, {"type": "hello", "protocol": 99})
        assert error["code"] == "unsupported_version"
        assert "99" in error["message"]
        assert await goodbye(socket) == "protocol_error"


@pytest.mark.parametrize(
    "sdp", ["x" * MAX_TEXT_BYTES, "ü" * (MAX_TEXT_BYTES // 2)], ids=["ascii", "two bytes"]
)
async def test_a_text_message_of_too_many_bytes_ends_the_connection(live: LiveServer, sdp: str) -> None:
    async with raw_socket(live) as socket:
        await say(socket, HELLO)
        await socket.send_str(json.dumps({"type": "offer", "sdp": sdp}, ensure_ascii=False))
        error = await answer(socket)
        assert (error["code"], error["fatal"]) == ("too_large", True)
        assert await goodbye(socket) == "protocol_error"


async def test_a_frame_that_is_too_large_is_refused(live: LiveServer) -> None:
    async with raw_socket(live) as socket:
        await say(socket, HELLO)
        await socket.send_bytes(bytes(MAX_JPEG_BYTES + 1))
        assert (await answer(socket))["code"] == "too_large"


async def test_a_huge_message_ends_the_connection(live: LiveServer) -> None:
    before = live.ended("protocol_error")
    async with raw_socket(live) as socket:
        await say(socket, HELLO)
        await socket.send_bytes(bytes(3 * MAX_JPEG_BYTES))
        await eventually(lambda: live.ended("protocol_error") == before + 1)


async def test_too_many_messages_end_the_connection(live: LiveServer) -> None:
    async with raw_socket(live) as socket:
        await say(socket, HELLO)
        for _ in range(400):
            await socket.send_str('{"type":"ping"}')
        replies = [await answer(socket)]
        while replies[-1]["type"] == "pong":
            replies.append(await answer(socket))
        assert replies[-1]["code"] == "rate_limited"


async def test_frames_that_come_too_fast_are_dropped_and_the_session_goes_on(
    live: LiveServer, jpeg: bytes
) -> None:
    before = live.metric("protocol_errors_total", code="rate_limited")
    async with raw_socket(live) as socket:
        await say(socket, HELLO)
        for _ in range(300):
            await socket.send_bytes(jpeg)
        replies = [await answer(socket)]
        while replies[-1]["type"] == "result":
            replies.append(await answer(socket))
        assert (replies[-1]["code"], replies[-1]["fatal"]) == ("rate_limited", False)
        await asyncio.sleep(0.5)
        await socket.send_str('{"type":"ping"}')
        while replies[-1]["type"] != "pong":
            replies.append(await answer(socket))
        told = [reply for reply in replies if reply["type"] == "error"]
        dropped = live.metric("protocol_errors_total", code="rate_limited") - before
        assert len(told) < dropped / 10, "each drop is counted, not each is told"


@pytest.mark.parametrize(("size", "count"), [(100, 3000), (MAX_JPEG_BYTES, 400)])
async def test_a_flood_of_frames_ends_the_connection(
    live: LiveServer, jpeg: bytes, size: int, count: int
) -> None:
    """Of good ones, by their number or by their bytes."""
    before = live.ended("protocol_error")
    frame = jpeg.ljust(size, b"\0")
    async with raw_socket(live) as socket:
        await say(socket, HELLO)
        with contextlib.suppress(ConnectionError):  # the server has closed it meanwhile
            for _ in range(count):
                await socket.send_bytes(frame)
        await eventually(lambda: live.ended("protocol_error") == before + 1)


async def test_a_ping_of_the_client_is_answered_and_a_flood_of_them_ends_the_connection(
    live: LiveServer,
) -> None:
    before = live.ended("protocol_error")
    async with aiohttp.ClientSession() as http, http.ws_connect(live.socket_url, autoping=False) as socket:
        await socket.send_str(json.dumps(HELLO))
        assert (await socket.receive_json(timeout=5))["type"] == "welcome"
        await socket.ping(b"here")
        while (message := await socket.receive(timeout=5)).type is not aiohttp.WSMsgType.PONG:
            pass
        assert message.data == b"here"
        with contextlib.suppress(ConnectionError):
            for _ in range(1000):
                await socket.ping()
        await eventually(lambda: live.ended("protocol_error") == before + 1)


@pytest.mark.parametrize(
    "sdp", ["garbage", "v=0", "v=0\r\nm=video", "v=0\r\nm=video 9 X 0\r\n", "\u0000" * 50]
)
async def test_sdp_garbage_is_refused_and_another_offer_may_come(live: LiveServer, sdp: str) -> None:
    async with raw_socket(live) as socket:
        await say(socket, HELLO)
        error = await say(socket, {"type": "offer", "sdp": sdp})
        assert error["code"] in ("bad_sdp", "no_video")
        reply = await say(socket, {"type": "offer", "sdp": await offered("video")})
        assert reply["type"] == "answer"


async def test_damaged_sdp_never_reaches_a_traceback(live: LiveServer) -> None:
    """Lines of a good offer left out, doubled and cut: an answer or a typed error, whatever aiortc thinks."""
    good = (await offered("video")).splitlines(keepends=True)
    damaged = [good[:index] + good[index + 1 :] for index in range(0, len(good), 2)]
    damaged += [
        [*good[:index], good[index][: len(good[index]) // 2] + "\r\n"] for index in range(3, len(good), 3)
    ]
    before = live.ended("internal_error")
    for lines in damaged[:60]:
        async with raw_socket(live) as socket:
            await say(socket, HELLO)
            reply = await say(socket, {"type": "offer", "sdp": "".join(lines)})
            assert reply["type"] in ("answer", "error"), reply
            await socket.send_str('{"type":"bye"}')
    assert live.ended("internal_error") == before


async def test_an_offer_with_hundreds_of_candidates_is_refused(live: LiveServer) -> None:
    candidate = "a=candidate:1 1 udp 2130706431 10.0.0.1 9 typ host\r\n"
    async with raw_socket(live) as socket:
        await say(socket, HELLO)
        error = await say(socket, {"type": "offer", "sdp": await offered("video") + candidate * 300})
        assert error["code"] == "bad_sdp"
        assert "64 lines with a=candidate" in error["message"]


async def test_an_offer_without_video_is_refused(live: LiveServer) -> None:
    async with raw_socket(live) as socket:
        await say(socket, HELLO)
        error = await say(socket, {"type": "offer", "sdp": await offered("audio")})
        assert error["code"] == "no_video"


async def test_an_offer_with_a_codec_that_is_not_taken_is_refused(live: LiveServer) -> None:
    async with raw_socket(live) as socket:
        await say(socket, HELLO)
        sdp = (await offered("video")).replace("VP8/90000", "VP9/90000").replace("H264/90000", "AV1/90000")
        error = await say(socket, {"type": "offer", "sdp": sdp})
        assert error["code"] == "unsupported_codec"
        assert "VP8" in error["message"]


@pytest.mark.parametrize(
    "candidate",
    [
        "garbage",
        "candidate:1 1 udp x 10.0.0.1 9 typ host",
        "candidate:1 1 udp 1 10.0.0.1 99999999 typ host",
        "candidate:1 1 sctp 1 10.0.0.1 9 typ dragon",
        "candidate:",
    ],
)
async def test_candidate_garbage_is_refused_or_ignored(live: LiveServer, candidate: str) -> None:
    async with raw_socket(live) as socket:
        await say(socket, HELLO)
        await say(socket, {"type": "offer", "sdp": await offered("video")})
        await socket.send_str(
            json.dumps({"type": "candidate", "candidate": {"candidate": candidate, "sdpMid": "0"}})
        )
        reply = await say(socket, {"type": "ping"})
        assert (reply["type"], reply.get("code")) in (("error", "bad_candidate"), ("pong", None))


async def test_a_truncated_jpeg_is_refused_and_a_whole_one_still_gets_a_result(
    live: LiveServer, jpeg: bytes
) -> None:
    async with raw_socket(live) as socket:
        await say(socket, HELLO)
        await socket.send_bytes(jpeg[: len(jpeg) // 2])
        assert (await answer(socket))["code"] == "bad_frame"
        await socket.send_bytes(jpeg)
        assert (await answer(socket))["type"] == "result"


async def test_in_lock_step_each_frame_that_cannot_be_decoded_is_answered(
    live: LiveServer, jpeg: bytes
) -> None:
    async with raw_socket(live) as socket:
        await say(socket, HELLO | {"every_frame": True})
        for _ in range(6):
            await socket.send_bytes(jpeg[: len(jpeg) // 2])
            assert (await answer(socket))["code"] == "bad_frame"
        await socket.send_bytes(jpeg)
        assert (await answer(socket))["type"] == "result"


async def test_a_large_picture_gets_a_result_in_its_own_size_and_a_large_progressive_one_is_refused(
    live: LiveServer,
) -> None:
    picture = np.full((4096, 4096, 3), 90, np.uint8)
    picture[1024:2048, 1024:2048] = (0, 0, 255)
    options = [cv2.IMWRITE_JPEG_QUALITY, 30]
    async with raw_socket(live) as socket:
        await say(socket, HELLO)
        await socket.send_bytes(
            bytes(cv2.imencode(".jpg", picture, [*options, cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1])
        )
        error = await answer(socket)
        assert (error["code"], error["fatal"]) == ("bad_frame", False)
        assert "progressive and 4096×4096" in error["message"]
        await socket.send_bytes(bytes(cv2.imencode(".jpg", picture, options)[1]))
        result = await answer(socket)
    assert (result["frame"]["width"], result["frame"]["height"]) == (4096, 4096)
    (red,) = result["detections"]
    assert red["box"] == pytest.approx((0.25, 0.25, 0.25, 0.25), abs=0.01)


async def test_others_do_not_notice(live: LiveServer, jpeg: bytes) -> None:
    """One client gets results while others do their worst."""

    async def misbehave(text: str) -> None:
        async with raw_socket(live) as socket:
            await say(socket, HELLO)
            for _ in range(30):
                await socket.send_str(text)
            await asyncio.sleep(0.2)

    async with raw_socket(live) as honest:
        await say(honest, HELLO)
        async with asyncio.TaskGroup() as group:
            for text in ("{", '{"type":"offer","sdp":"x"}', '{"type":"trigger","model":"x"}'):
                group.create_task(misbehave(text))
            for number in range(10):
                await honest.send_bytes(jpeg)
                reply = await answer(honest)
                assert (reply["type"], reply["seq"]) == ("result", number + 1)


async def offered(kind: str) -> str:
    """An SDP offer of a real peer that sends one track of that kind."""
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    track = VideoStreamTrack() if kind == "video" else AudioStreamTrack()
    try:
        peer.addTransceiver(track, direction="sendonly")
        await peer.setLocalDescription(await peer.createOffer())
        return str(peer.localDescription.sdp)
    finally:
        track.stop()
        await peer.close()
