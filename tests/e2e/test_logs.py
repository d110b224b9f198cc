"""What the log of a real server says of its sessions, and what it never says."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Literal

import aiohttp
import cv2
import jwt
import numpy as np
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription

from tests.support.damaged import DamagedCamera, damaged_jpegs
from tests.support.server_process import ServerProcess, server_process
from tests.support.waiting import eventually

KEY = "a planted key of more than 32 bytes!"
SIGN = "PLANTED SIGN"


def token() -> str:
    claims = {"aud": "mediaserver", "sub": "ada", "exp": int(time.time()) + 60}
    return jwt.encode(claims, KEY, algorithm="HS256", headers={"kid": "k1"})


def jpeg_of_a_sign() -> bytes:
    picture = np.full((480, 640, 3), 255, np.uint8)
    cv2.putText(picture, SIGN, (40, 240), cv2.FONT_HERSHEY_SIMPLEX, 2.0, (0, 0, 0), 5)
    return bytes(cv2.imencode(".jpg", picture)[1])


async def read_sign(socket: aiohttp.ClientWebSocketResponse) -> str:
    """Shows the sign and asks for OCR until it was read; returns the text."""
    async with asyncio.timeout(30):
        await socket.send_bytes(jpeg_of_a_sign())
        await socket.send_str('{"type":"trigger","model":"ocr"}')
        while True:
            message = await socket.receive_json()
            if message["type"] == "event" and message["event"] == "ocr" and message["texts"]:
                return " ".join(found["text"] for found in message["texts"])
            if message["type"] == "result":
                await socket.send_bytes(jpeg_of_a_sign())


async def plant(http: aiohttp.ClientSession, server: ServerProcess, session_token: str) -> list[str]:
    """Uses the server as clients do, well and badly; returns what must not be in the log."""
    async with http.ws_connect(f"{server.socket_url}?token={session_token}") as socket:
        hello = {"type": "hello", "token": session_token, "channel": "websocket"}
        await socket.send_str(json.dumps(hello | {"pipeline": {"ocr": True, "detect": False, "pose": False}}))
        welcome = await socket.receive_json(timeout=5)
        text = await read_sign(socket)
        assert SIGN.split(maxsplit=1)[0] in text.upper(), "else this test could not fail"
        await socket.send_str('{"type":"offer","sdp":"v=0 PLANTED-SDP"}')
        await socket.send_bytes(b"PLANTED-BYTES")
        await socket.send_str("PLANTED-RUBBISH")
        await socket.send_str('{"type":"bye"}')
        while (await socket.receive(timeout=5)).type is aiohttp.WSMsgType.TEXT:
            pass
    for refused in (session_token[:-4], "PLANTED-TOKEN"):
        async with http.ws_connect(server.socket_url) as socket:
            await socket.send_str(json.dumps({"type": "hello", "token": refused}))
            assert (await socket.receive_json(timeout=5))["code"] == "unauthorized"
    for no_http in (
        b"PLANTED-METHOD / HTTP/1.1\r\n\r\n",
        b"GET /PLANTED-PATH HTTP/1.1\r\nAuthorization: Bearer PLANTED-TOKEN\0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: test\r\n\r\nPLANTED REQUEST\r\n\r\n",
        b"POST /drain HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\nPLANTED\r\n",
    ):
        assert b" 400 Bad Request" in await send(server, no_http)
    return [KEY, session_token, session_token[:-4], welcome["resume_token"], *text.split(), "PLANTED"]


async def send(server: ServerProcess, request: bytes) -> bytes:
    """The answer to bytes that no HTTP client would send."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


@pytest.mark.parametrize("log_format", ["json", "text"])
async def test_no_token_no_text_that_was_read_and_nothing_a_client_sent_is_logged(
    tiny_models: Path, log_format: str
) -> None:
    environment = {"MEDIASERVER_TOKEN_KEYS": json.dumps({"k1": KEY})}
    async with (
        server_process(
            tiny_models, environment=environment, log_format=log_format, log_level="debug"
        ) as server,
        aiohttp.ClientSession() as http,
    ):
        planted = await plant(http, server, token())
    assert server.process.returncode == 0
    assert [secret for secret in planted if secret.lower() in server.text.lower()] == []
    assert "Traceback" not in server.text
    assert "reason=bye" in server.text or '"reason":"bye"' in server.text


async def test_a_session_has_one_line_where_it_begins_and_one_with_its_counts_where_it_ends(
    tiny_models: Path,
) -> None:
    async with server_process(tiny_models) as server, aiohttp.ClientSession() as http:
        async with http.ws_connect(server.socket_url) as socket:
            await socket.send_str('{"type":"hello","channel":"websocket"}')
            session = (await socket.receive_json(timeout=5))["session"]
            await socket.send_bytes(jpeg_of_a_sign())
            while (await socket.receive_json(timeout=20))["type"] != "result":
                pass
            await socket.send_str('{"type":"bye"}')
            await eventually(lambda: server.lines("session ended"))
        for _ in range(30):
            async with http.ws_connect(server.socket_url) as socket:
                await socket.close()
    (began,) = server.lines("session started")
    assert (began["session"], began["resumed"], began["level"]) == (session, False, "info")
    (ended,) = server.lines("session ended")
    assert (ended["session"], ended["reason"]) == (session, "bye")
    assert (ended["frames"], ended["results"]) == (1, 1)
    assert 0 < ended["seconds"] < 60
    assert ended["dropped"].keys() == {"sink", "receive", "stale", "send"}
    without = server.lines("connection without a session ended")
    assert {line["reason"] for line in without} == {"client_gone"}
    assert 10 <= len(without) < 30, "who says nothing does not flood the log"


async def test_decoders_write_nothing_past_the_log(tiny_models: Path) -> None:
    """Libraries that write to stderr themselves would be limited by nothing."""
    async with server_process(tiny_models, liveness_timeout_s=60) as server, aiohttp.ClientSession() as http:
        async with http.ws_connect(server.socket_url) as socket:
            await socket.send_str('{"type":"hello","channel":"websocket"}')
            for picture in damaged_jpegs(150):
                await socket.send_bytes(picture)
                await asyncio.sleep(0.01)
            await socket.send_str('{"type":"bye"}')
            await eventually(lambda: len(server.lines("session ended")) == 1)
        for codec, encoder in VIDEO_ENCODERS.items():
            await send_damaged_video(http, server, codec, DamagedCamera(encoder))
    pictures, vp8, h264 = server.lines("session ended")
    assert pictures["frames"] == 150
    for video in (vp8, h264):
        assert video["frames"] > 0, "something was decoded"
    assert len(server.log) == len(server.text.splitlines()), "every line is the log's own"
    assert len(server.log) < 40


VIDEO_ENCODERS: dict[str, Literal["libvpx", "libx264"]] = {"VP8": "libvpx", "H264": "libx264"}


async def send_damaged_video(
    http: aiohttp.ClientSession, server: ServerProcess, codec: str, camera: DamagedCamera
) -> None:
    """Two seconds of it, in a session of its own."""
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    ended = len(server.lines("session ended")) + 1
    try:
        sender = peer.addTransceiver(camera, direction="sendonly")
        codecs = RTCRtpSender.getCapabilities("video").codecs
        sender.setCodecPreferences([item for item in codecs if item.name == codec])
        await peer.setLocalDescription(await peer.createOffer())
        async with http.ws_connect(server.socket_url) as socket:
            await socket.send_str('{"type":"hello","channel":"websocket"}')
            await socket.send_str(json.dumps({"type": "offer", "sdp": peer.localDescription.sdp}))
            while (message := await socket.receive_json(timeout=10))["type"] != "answer":
                pass
            await peer.setRemoteDescription(RTCSessionDescription(message["sdp"], "answer"))
            while camera.sent < 60:
                await socket.receive_json(timeout=10)  # which also answers pings
            await socket.send_str('{"type":"bye"}')
            await eventually(lambda: len(server.lines("session ended")) == ended)
    finally:
        camera.stop()
        await peer.close()
