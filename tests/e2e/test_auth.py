"""A server with keys lets in who was given a token, pages of allowed origins, and nobody else."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest
import pytest_asyncio

from mediaserver.client.client import InferenceClient, Refused, Unreachable
from mediaserver.settings.types import Origin, TokenKeys
from signaling.auth import Audience
from signaling.messages import ErrorCode
from tests.support.live_server import LiveServer, live_server, raw_socket
from tests.support.token_vectors import KEYS, TOKENS, TokenVector
from tests.support.waiting import eventually

SITE = "https://site.example"
BAD_TOKENS = [vector for vector in TOKENS if vector.refused and vector.keys is None]

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def live(tiny_models: Path) -> AsyncIterator[LiveServer]:
    keys = TokenKeys(json.dumps(KEYS))
    async with live_server(tiny_models, token_keys=keys, allowed_origins=(Origin(SITE),)) as running:
        yield running


def token(
    audience: str = "mediaserver",
    key_id: str = "k2",
    secret: str | None = None,
    life_s: int = 60,
    subject: str = "ada",
    **further: str,
) -> str:
    claims = {"aud": audience, "sub": subject, "exp": int(time.time()) + life_s, **further}
    return jwt.encode(claims, secret or KEYS[key_id], algorithm="HS256", headers={"kid": key_id})


async def say_hello(socket: aiohttp.ClientWebSocketResponse, **fields: object) -> dict[str, Any]:
    await socket.send_str(json.dumps({"type": "hello", **fields}))
    answer: dict[str, Any] = await socket.receive_json(timeout=5)
    return answer


@pytest.mark.parametrize("key_id", KEYS)
async def test_a_token_of_any_key_opens_a_session(live: LiveServer, key_id: str) -> None:
    async with raw_socket(live) as socket:
        assert (await say_hello(socket, token=token(key_id=key_id)))["type"] == "welcome"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (None, "needed"),
        ("garbage", "not a JWT"),
        (token(secret="a key that someone else thought of!!"), "known key"),
        (token(audience="mediaserver-control"), "something else"),
        (token(life_s=-60), "expired"),
    ],
)
async def test_without_a_good_token_the_connection_ends_with_a_reason(
    live: LiveServer, wrong: str | None, words: str
) -> None:
    before, sessions = live.ended("unauthorized"), live.server.sessions
    async with raw_socket(live) as socket:
        error = await say_hello(socket, token=wrong)
        assert (error["type"], error["code"], error["fatal"]) == ("error", "unauthorized", True)
        assert words in error["message"]
        closing = await socket.receive_json(timeout=5)
        assert closing == {"type": "closing", "reason": "unauthorized", "retry_after_s": None}
        assert (await socket.receive(timeout=5)).type is aiohttp.WSMsgType.CLOSE
    await eventually(lambda: live.ended("unauthorized") == before + 1)
    assert live.server.sessions == sessions


@pytest.mark.parametrize("vector", BAD_TOKENS, ids=[vector.name for vector in BAD_TOKENS])
async def test_every_bad_token_gets_a_typed_error(live: LiveServer, vector: TokenVector) -> None:
    async with raw_socket(live) as socket:
        error = await say_hello(socket, token=vector.made_for(Audience.SESSION))
    assert error["type"] == "error"
    assert error["code"] in {ErrorCode.UNAUTHORIZED, ErrorCode.BAD_MESSAGE, ErrorCode.TOO_LARGE}


async def test_the_client_of_this_package_brings_its_token(live: LiveServer) -> None:
    async with InferenceClient(live.socket_url, token=token()) as client:
        assert client.welcome.session
    with pytest.raises(Refused, match="unauthorized"):
        await InferenceClient(live.socket_url).__aenter__()


async def test_a_lost_session_is_taken_up_again_with_the_token_that_has_expired_since(
    live: LiveServer,
) -> None:
    async with raw_socket(live) as first, raw_socket(live) as second:
        welcome = await say_hello(first, token=token())
        again = await say_hello(second, token=token(life_s=-60), resume=welcome["resume_token"])
        assert (again["type"], again["resumed"]) == ("welcome", True)


async def test_a_token_with_an_id_begins_one_session_and_leads_back_to_it(live: LiveServer) -> None:
    once = token(jti="7")
    async with raw_socket(live) as first, raw_socket(live) as second, raw_socket(live) as third:
        welcome = await say_hello(first, token=once)
        assert welcome["type"] == "welcome"
        refused = await say_hello(second, token=once)
        assert (refused["code"], refused["fatal"]) == ("unauthorized", True)
        assert "already" in refused["message"]
        again = await say_hello(third, token=once, resume=welcome["resume_token"])
        assert (again["type"], again["resumed"]) == ("welcome", True)


async def test_a_token_that_found_no_place_is_as_good_as_before(tiny_models: Path) -> None:
    keys = TokenKeys(json.dumps(KEYS))
    async with live_server(tiny_models, token_keys=keys, max_sessions_per_subject=1) as small:
        once = token(jti="7")
        async with raw_socket(small) as first:
            assert (await say_hello(first, token=token()))["type"] == "welcome"
            async with raw_socket(small) as second:
                assert (await say_hello(second, token=once))["reason"] == "too_many_sessions"
            await first.send_json({"type": "bye"})
        await eventually(lambda: small.server.sessions == 0)
        async with raw_socket(small) as third:
            assert (await say_hello(third, token=once))["type"] == "welcome"


async def test_only_the_session_s_own_client_may_be_that_late(live: LiveServer) -> None:
    async with raw_socket(live) as first:
        welcome = await say_hello(first, token=token())
        for late in (
            {"token": token(life_s=-60), "resume": "no-such-session"},
            {"token": None, "resume": welcome["resume_token"]},
            {"token": token(life_s=-60, subject="eve"), "resume": welcome["resume_token"]},
            {
                "token": token(secret="a key that someone else thought of!!"),
                "resume": welcome["resume_token"],
            },
        ):
            async with raw_socket(live) as second:
                assert (await say_hello(second, **late))["code"] == "unauthorized"
        await first.send_str('{"type":"ping"}')
        assert (await first.receive_json(timeout=5))["type"] == "pong", "and it does not notice"


async def test_a_stolen_resume_token_is_worth_nothing_with_another_s_token(live: LiveServer) -> None:
    async with raw_socket(live) as first, raw_socket(live) as second:
        welcome = await say_hello(first, token=token())
        stolen = await say_hello(second, token=token(subject="eve"), resume=welcome["resume_token"])
        assert (stolen["type"], stolen["resumed"]) == ("welcome", False)
        assert stolen["session"] != welcome["session"]
        await first.send_str('{"type":"ping"}')
        assert (await first.receive_json(timeout=5))["type"] == "pong", "and its client does not notice"


async def test_one_subject_has_so_many_sessions_and_leaves_the_rest_to_others(tiny_models: Path) -> None:
    keys = TokenKeys(json.dumps(KEYS))
    async with (
        live_server(tiny_models, token_keys=keys, max_sessions_per_subject=2) as live,
        contextlib.AsyncExitStack() as stack,
    ):
        sockets = [await stack.enter_async_context(raw_socket(live)) for _ in range(4)]
        for socket in sockets[:2]:
            assert (await say_hello(socket, token=token()))["type"] == "welcome"
        closing = await say_hello(sockets[2], token=token())
        assert closing == {"type": "closing", "reason": "too_many_sessions", "retry_after_s": 10.0}
        with pytest.raises(Unreachable, match=r"too_many_sessions.*again in 10 s"):
            await InferenceClient(live.socket_url, token=token()).__aenter__()
        assert (await say_hello(sockets[3], token=token(subject="bob")))["type"] == "welcome"
        await eventually(lambda: live.ended("too_many_sessions") == 2)


async def test_pages_of_other_origins_are_refused_at_the_upgrade(live: LiveServer) -> None:
    before = live.metric("connections_refused_total", reason="origin")
    async with aiohttp.ClientSession() as http:
        for origin in ("https://evil.example", "null", live.http_url.rstrip("/")):
            async with http.get(
                live.socket_url.replace("ws", "http", 1), headers={"Origin": origin}
            ) as refused:
                assert refused.status == 403
                assert (await refused.json())["error"] == "origin"
                assert (
                    refused.headers["Access-Control-Allow-Origin"] == origin
                )  # so that its page can say why
        async with http.ws_connect(live.socket_url, headers={"Origin": SITE}) as socket:
            assert (await say_hello(socket, token=token()))["type"] == "welcome"
    assert live.metric("connections_refused_total", reason="origin") == before + 3


async def test_without_a_list_only_pages_of_this_server_come_in(tiny_models: Path) -> None:
    async with live_server(tiny_models) as live, aiohttp.ClientSession() as http:
        own = live.http_url.rstrip("/")
        async with http.ws_connect(live.socket_url, headers={"Origin": own}) as socket:
            assert (await say_hello(socket))["type"] == "welcome"
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            await http.ws_connect(live.socket_url, headers={"Origin": SITE})
