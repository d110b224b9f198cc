"""WHIP as an HTTP client sees it (RFC 9725): what each request is answered with."""

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
from aiortc import RTCConfiguration, RTCPeerConnection

from mediaserver.settings.types import IceUrl, Origin, Secret, TokenKeys
from signaling.auth import Audience
from tests.support.live_server import LiveServer, live_server, raw_socket
from tests.support.token_vectors import KEYS
from tests.support.waiting import eventually
from tests.support.whip_client import offer_of

SDP = {"Content-Type": "application/sdp"}
FRAGMENT = {"Content-Type": "application/trickle-ice-sdpfrag"}
CANDIDATE = "m=video 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\na=candidate:7 1 UDP 1 198.51.100.7 9 typ host\r\n"
SITE = "https://site.example"

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def live(tiny_models: Path) -> AsyncIterator[LiveServer]:
    async with live_server(tiny_models) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def http(live: LiveServer) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(live.http_url) as session:
        yield session


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def offer() -> str:
    """Of a publisher of video that says no more."""
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    peer.addTransceiver("video", direction="sendonly")
    try:
        return await offer_of(peer)
    finally:
        await peer.close()


@contextlib.asynccontextmanager
async def published(
    http: aiohttp.ClientSession, offer: str, path: str = "/whip", **headers: str
) -> AsyncIterator[aiohttp.ClientResponse]:
    """Its answer; on leaving the session is ended."""
    async with http.post(path, data=offer, headers=SDP | headers) as response:
        assert response.status == 201, await response.text()
        await response.read()  # for who looks at it later
    try:
        yield response
    finally:
        async with http.delete(response.headers["Location"], headers=headers) as ended:
            assert ended.status in (200, 404)


async def answer_to(
    http: aiohttp.ClientSession, method: str, path: str, **request: Any
) -> tuple[int, dict[str, Any]]:
    """Status and content of a refusal."""
    async with http.request(method, path, **request) as response:
        return response.status, await response.json()


def token(
    subject: str = "ada",
    audience: Audience = Audience.SESSION,
    life_s: int = 60,
) -> dict[str, str]:
    claims = {"aud": audience, "sub": subject, "exp": int(time.time()) + life_s}
    signed = jwt.encode(claims, KEYS["k1"], algorithm="HS256", headers={"kid": "k1"})
    return {"Authorization": f"Bearer {signed}"}


# --- publishing ---


async def test_an_offer_makes_a_resource(http: aiohttp.ClientSession, offer: str) -> None:
    async with published(http, offer) as response:
        assert response.content_type == "application/sdp"
        assert response.headers["Location"].startswith("/whip/session/")
        assert response.headers["ETag"].strip('"')
        answer = await response.text()
        assert answer.startswith("v=0")
        assert "a=recvonly" in answer
        assert " typ host" in answer, "all of the server's candidates are in it"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "bad_request"),
        (b"v=0\r\nm=video x\r\n", 400, "bad_sdp"),
        (b"\xff\xfe", 400, "bad_request"),
        (b"v=0\r\n", 406, "no_video"),
        (b"x" * 70_000, 413, "too_large"),
    ],
)
async def test_what_is_no_offer_of_video_is_refused(
    live: LiveServer, http: aiohttp.ClientSession, body: bytes, status: int, code: str
) -> None:
    got, content = await answer_to(http, "POST", "/whip", data=body, headers=SDP)
    assert (got, content["error"]) == (status, code)
    assert content["message"]
    await eventually(lambda: live.server.sessions == 0)


async def test_a_codec_that_is_not_spoken_here_is_not_acceptable(
    http: aiohttp.ClientSession, offer: str
) -> None:
    foreign = offer.replace("VP8/90000", "AV1/90000").replace("H264/90000", "AV1/90000")
    status, content = await answer_to(http, "POST", "/whip", data=foreign, headers=SDP)
    assert (status, content["error"]) == (406, "unsupported_codec")


async def test_the_body_is_an_offer_or_nothing(http: aiohttp.ClientSession, offer: str) -> None:
    async with http.post("/whip", data=offer, headers={"Content-Type": "application/json"}) as response:
        assert response.status == 415
        assert response.headers["Accept-Post"] == "application/sdp"


@pytest.mark.parametrize(
    ("path", "methods", "allowed"),
    [
        ("/whip", ("GET", "PUT", "PATCH", "DELETE"), "POST, OPTIONS"),
        ("/whip/door", ("GET", "PUT", "PATCH", "DELETE"), "POST, OPTIONS"),
        ("/whip/session/abc", ("GET", "PUT", "POST"), "PATCH, DELETE, OPTIONS"),
    ],
)
async def test_methods_that_are_reserved_are_not_allowed(
    http: aiohttp.ClientSession, path: str, methods: tuple[str, ...], allowed: str
) -> None:
    for method in methods:
        async with http.request(method, path) as response:
            assert (response.status, response.headers["Allow"]) == (405, allowed)
    async with http.head(path) as response:
        assert response.status == 405


@pytest.mark.parametrize("name", ["", "a%20b", "a%2Fb", "a%0A", "%C3%A9", 65 * "a"])
async def test_a_stream_has_a_plain_name(http: aiohttp.ClientSession, offer: str, name: str) -> None:
    status, content = await answer_to(http, "POST", f"/whip/{name}", data=offer, headers=SDP)
    assert (status, content["error"]) == (400, "bad_stream_name")
    assert "1 to 64 letters" in content["message"]


async def test_a_name_is_one_segment_of_the_path(http: aiohttp.ClientSession, offer: str) -> None:
    async with http.post("/whip/a/b", data=offer, headers=SDP) as response:
        assert response.status in (404, 405)


async def test_the_url_says_which_models_run(
    live: LiveServer, http: aiohttp.ClientSession, offer: str
) -> None:
    async with published(http, offer, "/whip?models=pose"):
        (connection,) = live.server._connections
        assert connection._service is not None
        options = connection._service.session.pipeline.options
        assert (options.detect, options.pose) == (False, True)
    status, content = await answer_to(http, "POST", "/whip?models=dogs", data=offer, headers=SDP)
    assert (status, content["error"]) == (400, "bad_models")


async def test_ice_servers_are_links(tiny_models: Path, offer: str) -> None:
    urls = (IceUrl("stun:stun.example.org:3478"), IceUrl("turn:turn.example.org:3478?transport=udp"))
    async with (
        live_server(tiny_models, ice_servers=urls, turn_secret=Secret("s" * 32)) as live,
        aiohttp.ClientSession(live.http_url) as http,
        published(http, offer) as response,
        http.options("/whip") as described,
    ):
        for answer in (response, described):
            stun, turn = answer.headers.getall("Link")
            assert stun == '<stun:stun.example.org:3478>; rel="ice-server"'
            assert turn.startswith('<turn:turn.example.org:3478?transport=udp>; rel="ice-server"; username="')
            assert turn.endswith('"; credential-type="password"')


# --- a resource ---


async def test_candidates_are_trickled(live: LiveServer, http: aiohttp.ClientSession, offer: str) -> None:
    async with published(http, offer) as response:
        location = response.headers["Location"]
        ufrag = offer.partition("a=ice-ufrag:")[2].split()[0]
        for body in (CANDIDATE, f"a=ice-ufrag:{ufrag}\r\n{CANDIDATE}", "a=end-of-candidates\r\n"):
            match = FRAGMENT | {"If-Match": response.headers["ETag"]}
            async with http.patch(location, data=body, headers=match) as patched:
                assert patched.status == 204
        (connection,) = live.server._connections
        assert connection._service is not None
        assert connection._service.media.is_open


@pytest.mark.parametrize(
    ("body", "headers", "expected"),
    [
        (CANDIDATE, {"If-Match": '"another"'}, (412, "precondition_failed")),
        (
            "a=ice-ufrag:anew\r\na=ice-pwd:anewanewanewanewanewanew\r\n",
            {"If-Match": "*"},
            (422, "ice_restart"),
        ),
        ("hello", {}, (400, "bad_candidate")),
        ("m=video\r\na=mid:0\r\na=candidate:nonsense\r\n", {}, (400, "bad_candidate")),
        (CANDIDATE, {"Content-Type": "application/sdp"}, (415, "unsupported_media_type")),
        ("a=mid:0\r\n" * 4000, {}, (413, "too_large")),
    ],
)
async def test_fragments_that_cannot_be_taken_are_refused(
    http: aiohttp.ClientSession, offer: str, body: str, headers: dict[str, str], expected: tuple[int, str]
) -> None:
    async with published(http, offer) as response:
        location = response.headers["Location"]
        status, content = await answer_to(http, "PATCH", location, data=body, headers=FRAGMENT | headers)
        assert (status, content["error"]) == expected
        async with http.patch(location, data=CANDIDATE, headers=FRAGMENT) as patched:
            assert patched.status == 204, "and the session goes on"


async def test_fragments_have_a_rate(
    http: aiohttp.ClientSession, offer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mediaserver.session.publication._FRAGMENT_BURST", 3.0)
    async with published(http, offer) as response:
        statuses = []
        for _ in range(5):
            async with http.patch(
                response.headers["Location"], data="a=mid:0\r\n", headers=FRAGMENT
            ) as patched:
                statuses.append(patched.status)
        assert statuses[:3] == [204] * 3
        assert 429 in statuses[3:]
        assert patched.headers["Retry-After"]


async def test_delete_ends_the_session_and_its_url(
    live: LiveServer, http: aiohttp.ClientSession, offer: str
) -> None:
    before = live.ended("bye")
    async with published(http, offer) as response:
        location = response.headers["Location"]
        assert live.server.sessions == 1
        async with http.delete(location, headers={"If-Match": '"whatever"'}) as deleted:
            assert deleted.status == 200
        assert (live.server.sessions, live.ended("bye")) == (0, before + 1)
        for method in ("DELETE", "PATCH"):
            assert (await answer_to(http, method, location, data=CANDIDATE, headers=FRAGMENT))[0] == 404


# --- who is let in ---


async def test_without_a_place_the_encoder_is_told_when_to_try_again(tiny_models: Path, offer: str) -> None:
    async with (
        live_server(tiny_models, max_sessions=1) as live,
        aiohttp.ClientSession(live.http_url) as http,
        published(http, offer),
        http.post("/whip", data=offer, headers=SDP) as refused,
    ):
        assert (refused.status, refused.headers["Retry-After"]) == (503, "10")
        assert (await refused.json())["error"] == "full"
        assert live.metric("connections_refused_total", reason="full") == 1


async def test_while_models_load_nobody_publishes(tiny_models: Path, offer: str) -> None:
    async with (
        live_server(tiny_models, wait_ready=False) as live,
        aiohttp.ClientSession(live.http_url) as http,
        http.post("/whip", data=offer, headers=SDP) as refused,
    ):
        assert (refused.status, (await refused.json())["error"]) == (503, "loading")


async def test_only_a_token_for_sessions_publishes(tiny_models: Path, offer: str) -> None:
    async with (
        live_server(tiny_models, token_keys=TokenKeys(json.dumps(KEYS))) as live,
        aiohttp.ClientSession(live.http_url) as http,
    ):
        async with http.post("/whip", data=offer, headers=SDP) as refused:
            assert (refused.status, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
        for wrong in (
            token(audience=Audience.CONTROL),
            token(audience=Audience.WATCH),
            token(life_s=-60),
            {"Authorization": "Bearer nonsense"},
        ):
            async with http.post("/whip", data=offer, headers=SDP | wrong) as refused:
                assert refused.status == 401
                assert refused.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
        async with published(http, offer, **token()) as response:
            assert response.status == 201


async def test_a_resource_is_its_publisher_s_alone_with_a_token_that_may_have_expired(
    tiny_models: Path, offer: str
) -> None:
    async with (
        live_server(tiny_models, token_keys=TokenKeys(json.dumps(KEYS))) as live,
        aiohttp.ClientSession(live.http_url) as http,
        published(http, offer, **token("ada")) as response,
    ):
        location = response.headers["Location"]
        for method in ("PATCH", "DELETE"):
            for wrong, status in (({}, 401), (token("eve"), 404), (token("eve", life_s=-60), 401)):
                headers = FRAGMENT | wrong
                assert (await answer_to(http, method, location, data=CANDIDATE, headers=headers))[0] == status
        late = FRAGMENT | token("ada", life_s=-60)
        async with http.patch(location, data=CANDIDATE, headers=late) as patched:
            assert patched.status == 204
        async with http.delete(location, headers=late) as deleted:
            assert deleted.status == 200


async def test_one_subject_has_so_many_publications(tiny_models: Path, offer: str) -> None:
    keys = TokenKeys(json.dumps(KEYS))
    async with (
        live_server(tiny_models, token_keys=keys, max_sessions_per_subject=1) as live,
        aiohttp.ClientSession(live.http_url) as http,
        published(http, offer, **token("ada")),
    ):
        status, content = await answer_to(http, "POST", "/whip", data=offer, headers=SDP | token("ada"))
        assert (status, content["error"]) == (503, "too_many_sessions")
        async with published(http, offer, **token("bob")):
            pass


async def test_with_several_workers_there_is_no_whip_and_no_watching(tiny_models: Path, offer: str) -> None:
    async with (
        live_server(tiny_models, workers=2) as live,
        aiohttp.ClientSession(live.http_url) as http,
        raw_socket(live) as socket,
    ):
        status, content = await answer_to(http, "POST", "/whip", data=offer, headers=SDP)
        assert (status, content["error"]) == (501, "several_workers")
        await socket.send_json({"type": "hello", "watch": "door"})
        error = await socket.receive_json(timeout=5)
        assert (error["code"], error["fatal"]) == ("unexpected_message", True)
        assert "one worker" in error["message"]


# --- pages ---


async def test_pages_publish_where_they_may_use_the_server(tiny_models: Path, offer: str) -> None:
    async with (
        live_server(tiny_models, allowed_origins=(Origin(SITE),)) as live,
        aiohttp.ClientSession(live.http_url) as http,
    ):
        for path, methods in (("/whip", "POST"), ("/whip/session/abc", "PATCH")):
            async with http.options(path, headers={"Origin": SITE}) as preflight:
                assert preflight.status == 200
                assert preflight.headers["Access-Control-Allow-Origin"] == SITE
                assert methods in preflight.headers["Access-Control-Allow-Methods"]
                assert "Authorization" in preflight.headers["Access-Control-Allow-Headers"]
        async with published(http, offer, Origin=SITE) as response:
            assert response.headers["Access-Control-Allow-Origin"] == SITE
            exposed = response.headers["Access-Control-Expose-Headers"]
            assert {"Location", "ETag", "Link"} <= {name.strip() for name in exposed.split(",")}
        for method in ("OPTIONS", "POST"):
            status, content = await answer_to(
                http, method, "/whip", data=offer, headers=SDP | {"Origin": "https://evil.example"}
            )
            assert (status, content["error"]) == (403, "origin")


async def test_the_endpoint_says_what_it_takes(http: aiohttp.ClientSession) -> None:
    async with http.options("/whip") as response:
        assert response.headers["Accept-Post"] == "application/sdp"
    async with http.options("/whip/session/abc") as response:
        assert response.headers["Accept-Patch"] == "application/trickle-ice-sdpfrag"


async def test_a_server_that_stops_ends_publications(tiny_models: Path, offer: str) -> None:
    async with (
        live_server(tiny_models) as live,
        aiohttp.ClientSession(live.http_url) as http,
        http.post("/whip/door", data=offer, headers=SDP) as response,
    ):
        assert response.status == 201
        await live.server.drain()
        assert live.ended("server_shutdown") == 1
        assert live.server.sessions == 0
