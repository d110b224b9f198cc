"""Raw sockets against a real server: slow, silent, half, many; and the form of what they are told."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import jwt
import pytest

from mediaserver.settings.types import TokenKeys
from tests.support.live_server import LiveServer, live_server, raw_socket
from tests.support.token_vectors import KEYS
from tests.support.waiting import eventually

GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST /drain HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n"
OF_EVERY_ANSWER = ("Content-Security-Policy", "X-Content-Type-Options", "Referrer-Policy", "Cache-Control")


def short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("_IDLE_S", 0.3), ("_LEFTOVER_S", 0.2), ("_STALL_S", 0.3)):
        monkeypatch.setattr(f"mediaserver.server.http_connection.{name}", seconds)
    monkeypatch.setattr("mediaserver.server.http_body._BODY_TIMEOUT_S", 0.2)


@contextlib.asynccontextmanager
async def open_socket(live: LiveServer) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", live.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def until_closed(reader: asyncio.StreamReader) -> bytes:
    """What still came."""
    async with asyncio.timeout(10):
        with contextlib.suppress(ConnectionError):
            return await reader.read()
    return b""


def parsed(answer: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body."""
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    return int(first.split()[1]), dict(line.split(": ", 1) for line in lines), body


async def is_there(sock: socket.socket) -> bool:
    """Whether the other side still takes what is sent to it."""
    try:
        await asyncio.get_running_loop().sock_sendall(sock, b"\r\n")  # before a request it means nothing
    except ConnectionError:
        return False
    return True


def control_token() -> str:
    claims = {"aud": "mediaserver-control", "sub": "test", "exp": 4_000_000_000}
    return jwt.encode(claims, KEYS["k1"], algorithm="HS256", headers={"kid": "k1"})


# --- slow and silent ---


@pytest.mark.parametrize(
    "sent",
    [b"", b"GET / HTT", GET, GET + b"X-Half: ", GET + b"\r\n", GET + b"\r\nGET / HTTP/1.1\r\nHost"],
    ids=["nothing", "half a line", "half a head", "half a header", "then idle", "then half a head"],
)
async def test_who_sends_no_request_is_sent_away(
    tiny_models: Path, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    short_times(monkeypatch)
    async with live_server(tiny_models) as live, open_socket(live) as (reader, writer):
        writer.write(sent)
        answer = await until_closed(reader)
        assert answer.count(b"HTTP/1.1 200") == sent.count(b"\r\n\r\n")


async def test_a_head_that_comes_drop_by_drop_has_no_longer(
    tiny_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short_times(monkeypatch)
    async with live_server(tiny_models) as live, open_socket(live) as (reader, writer):

        async def drip() -> None:
            writer.write(GET)
            while True:
                writer.write(b"X: y\r\n")
                await asyncio.sleep(0.05)

        dripping = asyncio.create_task(drip())
        try:
            assert await until_closed(reader) == b""
        finally:
            dripping.cancel()


async def test_a_body_that_does_not_come_is_waited_for_a_bounded_time(
    tiny_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short_times(monkeypatch)
    async with live_server(tiny_models, token_keys=TokenKeys(json.dumps(KEYS))) as live:
        for head, status in (
            (POST + b"Authorization: Bearer " + control_token().encode() + b"\r\n\r\n{", 408),
            (POST + b"\r\n{", 401),
            (POST.replace(b"/drain", b"/nowhere") + b"\r\n{", 405),
            (GET + b"Content-Length: 100\r\n\r\n{", 200),
        ):
            async with open_socket(live) as (reader, writer):
                writer.write(head)
                assert parsed(await until_closed(reader))[0] == status


async def test_who_reads_nothing_of_what_it_asked_for_is_sent_away(
    tiny_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short_times(monkeypatch)
    async with live_server(tiny_models) as live:
        loop = asyncio.get_running_loop()
        with socket.socket() as silent:
            silent.setblocking(False)
            silent.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            await loop.sock_connect(silent, ("127.0.0.1", live.port))
            request = b"GET /sample/street.mp4 HTTP/1.1\r\nHost: localhost\r\n\r\n"
            await loop.sock_sendall(silent, request * 30)  # more than the kernel's buffers hold
            async with asyncio.timeout(20):
                while await is_there(silent):  # noqa: ASYNC110 - it is asked
                    await asyncio.sleep(0.05)


# --- many ---


async def test_many_half_requests_keep_nobody_out_and_are_closed(
    tiny_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mediaserver.server.http_connection._MAX_CONNECTIONS", 20)
    async with live_server(tiny_models) as live, contextlib.AsyncExitStack() as stack:
        half = []
        for _ in range(60):
            reader, writer = await stack.enter_async_context(open_socket(live))
            writer.write(GET)
            half.append(reader)
        for reader in half[:40]:
            assert await until_closed(reader) == b""
        async with raw_socket(live) as visitor:
            await visitor.send_str('{"type":"hello"}')
            assert (await visitor.receive_json(timeout=5))["type"] == "welcome"


async def test_a_websocket_leaves_its_place_to_others(
    tiny_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mediaserver.server.http_connection._MAX_CONNECTIONS", 2)
    async with live_server(tiny_models) as live, contextlib.AsyncExitStack() as stack:
        visitors = [await stack.enter_async_context(raw_socket(live)) for _ in range(5)]
        for visitor in visitors:
            await visitor.send_str('{"type":"hello"}')
            assert (await visitor.receive_json(timeout=5))["type"] == "welcome"


async def test_connections_that_come_too_fast_wait_and_are_answered_then(
    tiny_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mediaserver.server.arrivals._BURST", 5)
    monkeypatch.setattr("mediaserver.server.arrivals._PER_S", 50.0)
    monkeypatch.setattr("mediaserver.server.arrivals._MAX_WAIT_S", 0.3)
    async with live_server(tiny_models) as live, contextlib.AsyncExitStack() as stack:
        visitors = [await stack.enter_async_context(open_socket(live)) for _ in range(60)]
        for _, writer in visitors:
            writer.write(GET + b"Connection: close\r\n\r\n")
        answers = [await until_closed(reader) for reader, _ in visitors]
        answered = [answer != b"" for answer in answers]
        assert 15 <= sum(answered) < 60, "the others were sent away at once"
        assert all(answered[:15])
        assert {parsed(answer)[0] for answer in answers if answer} == {200}
        async with open_socket(live) as (_, writer):
            writer.transport.abort()  # while it waits
        await asyncio.sleep(0.5)


# --- what they are told ---


@pytest.mark.parametrize(
    ("request_head", "status", "code"),
    [
        (b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\n", 404, "not_found"),
        (b"GET /" + b"x" * 5000 + b" HTTP/1.1\r\nHost: localhost\r\n", 404, "not_found"),
        (b"GET /%00 HTTP/1.1\r\nHost: localhost\r\n", 404, "not_found"),
        (b"POST /healthz HTTP/1.1\r\nHost: localhost\r\n", 405, "method_not_allowed"),
        (b"RUBBISH\r\n", 400, "bad_request"),
        (GET + b"X: \0\r\n", 400, "bad_request"),
        (GET + b"X-Large: " + b"x" * 20_000 + b"\r\n", 400, "bad_request"),
        (GET + b"X-Many: y\r\n" * 2000, 400, "bad_request"),
        (GET + b"Expect: miracles\r\n", 417, "expectation_failed"),
        (b"GET /healthz HTTP/1.1\r\nHost: evil.example\r\n", 421, "misdirected_request"),
        (b"GET /ws/inference HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\n", 403, "origin"),
        (b"GET /ws/inference HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n", 400, "bad_request"),
    ],
)
async def test_every_refusal_has_the_headers_and_a_typed_body(
    tiny_models: Path, request_head: bytes, status: int, code: str
) -> None:
    async with live_server(tiny_models) as live, open_socket(live) as (reader, writer):
        writer.write(request_head + b"Connection: close\r\n\r\n")
        answer = parsed(await until_closed(reader))
        assert (answer[0], json.loads(answer[2])["error"]) == (status, code)
        assert json.loads(answer[2])["message"]
        assert set(OF_EVERY_ANSWER) <= answer[1].keys()
        assert answer[1]["Content-Type"] == "application/json; charset=utf-8"
        assert answer[1]["Server"] == "mediaserver"
        assert ("Allow" in answer[1]) == (status == 405)


async def test_what_fails_here_is_logged_and_told_without_its_cause(
    tiny_models: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with live_server(tiny_models) as live, open_socket(live) as (reader, writer):
        monkeypatch.setattr(live.server, "refusal", lambda: 1 / 0)
        writer.write(GET.replace(b"/healthz", b"/readyz") + b"\r\n")
        status, headers, body = parsed(await until_closed(reader))
        assert (status, json.loads(body)["error"]) == (500, "internal_server_error")
        assert set(OF_EVERY_ANSWER) <= headers.keys()
        assert b"division" not in body
        await eventually(lambda: "ZeroDivisionError" in caplog.text)


async def test_a_body_that_breaks_off_is_no_failure_of_the_server(
    tiny_models: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    short_times(monkeypatch)
    head = POST.replace(b"Content-Length: 100", b"Transfer-Encoding: chunked")
    head += b"Authorization: Bearer " + control_token().encode() + b"\r\n\r\n"
    async with live_server(tiny_models, token_keys=TokenKeys(json.dumps(KEYS))) as live:
        async with open_socket(live) as (reader, writer):
            writer.write(head)
            await writer.drain()
            await asyncio.sleep(0.1)
            writer.write(b"no chunk\r\n")
            assert parsed(await until_closed(reader))[0] in (400, 408)
        async with open_socket(live) as (_, writer):
            writer.write(head + b"5\r\n{")
            await writer.drain()
        async with open_socket(live) as (reader, writer):
            writer.write(GET + b"Connection: close\r\n\r\n")
            assert parsed(await until_closed(reader))[0] == 200
    assert not [record for record in caplog.records if record.exc_info]
