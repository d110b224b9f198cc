"""The files of ``deploy/nginx`` in a real nginx, before a real server."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from aiortc import RTCConfiguration, RTCPeerConnection

from mediaserver.child_process import free_ports
from mediaserver.client.client import Unreachable
from mediaserver.client.link import Link
from mediaserver.settings.model import Settings
from mediaserver.settings.types import HttpUrl
from signaling.messages import Hello
from tests.support.gateway import Gateway, gateway, visitor
from tests.support.live_server import LiveServer, live_server
from tests.support.whip_client import offer_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAGE = ["/", "/engine/engine.html", "/ui/page.js", "/ui/icon.svg", "/sample/street.mp4", "/config.json"]
OF_THE_PAGE = ["Content-Security-Policy", "X-Content-Type-Options", "Referrer-Policy", "Cache-Control"]
MAX_SESSIONS_AN_ADDRESS = 8
UPGRADE = "Connection: Upgrade\r\nUpgrade: {}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {}==\r\n"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def live(tiny_models: Path) -> AsyncIterator[LiveServer]:
    async with live_server(tiny_models, max_sessions=2 * MAX_SESSIONS_AN_ADDRESS) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def front(live: LiveServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    async with gateway(tmp_path_factory.mktemp("nginx"), [live.port]) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def http(front: Gateway) -> AsyncIterator[aiohttp.ClientSession]:
    async with visitor(front) as session:
        yield session


async def talk(front: Gateway, request: str, *, name: str = "localhost") -> bytes:
    """What comes back for a request that no well-behaved client would send."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", front.https_port, ssl=front.trust(), server_hostname=name
    )
    try:
        writer.write(request.encode())
        async with asyncio.timeout(10):
            head = await reader.readuntil(b"\r\n\r\n")
            return head + (await reader.read() if b"\r\nConnection: close\r\n" in head else b"")
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()


def get(path: str, host: str = "localhost") -> str:
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


# --- the page ---


@pytest.mark.parametrize("path", PAGE)
async def test_the_page_comes_with_the_headers_of_the_server(
    live: LiveServer, front: Gateway, http: aiohttp.ClientSession, path: str
) -> None:
    async with aiohttp.ClientSession(live.http_url) as direct, direct.get(path) as response:
        expected, body = response.headers, await response.read()
    async with http.get(path) as response:
        assert await response.read() == body
        for name in OF_THE_PAGE:
            assert response.headers.getall(name) == [expected[name]], name
        assert response.headers.getall("Strict-Transport-Security") == ["max-age=31536000"]
        assert response.headers["Server"] == "nginx"


async def test_the_page_may_ask_the_lifecycle_service_where_the_operator_names_it(
    tiny_models: Path, tmp_path: Path
) -> None:
    api = "https://api.example.org"
    async with (
        live_server(tiny_models, wait_ready=False, lifecycle_api=HttpUrl(f"{api}/prod")) as live,
        gateway(tmp_path, [live.port], lifecycle_api=api) as front,
        visitor(front) as http,
    ):
        policies = set()
        for path in PAGE:
            async with http.get(path) as response:
                policies.add(response.headers["Content-Security-Policy"])
    assert len(policies) == 1
    assert f"connect-src 'self' ws: wss: {api} https: " in policies.pop()


async def test_a_file_that_has_not_changed_does_not_travel_twice(http: aiohttp.ClientSession) -> None:
    async with http.get("/ui/page.js") as response:
        etag = response.headers["ETag"]
        assert response.headers["Content-Encoding"] == "gzip"
        assert response.content_type in ("application/javascript", "text/javascript")
    async with http.get("/ui/page.js", headers={"If-None-Match": etag}) as response:
        assert response.status == 304


@pytest.mark.parametrize("path", ["/engine/", "/nothing", "/ui/../../LICENSE", "/ui/%2e%2e/%2e%2e/LICENSE"])
async def test_there_is_nothing_but_the_page(front: Gateway, path: str) -> None:
    assert status(await talk(front, get(path))) in (400, 404)


async def test_an_unknown_address_has_words_for_who_reads_it(http: aiohttp.ClientSession) -> None:
    async with http.get("/nothing") as response:
        assert (response.status, response.content_type) == (404, "text/html")
        assert "There is nothing at this address" in await response.text()
        assert "Content-Security-Policy" in response.headers


# --- who is let in, and where to ---


async def test_plain_http_leads_to_https(front: Gateway) -> None:
    async with aiohttp.ClientSession() as http:
        url = f"http://localhost:{front.http_port}/ui/page.js?x=1"
        async with http.get(url, allow_redirects=False) as response:
            assert (response.status, response.headers["Location"]) == (
                301,
                "https://localhost/ui/page.js?x=1",
            )


async def test_certbot_finds_its_answers_over_plain_http(front: Gateway) -> None:
    challenge = front.log.parent / "certbot" / ".well-known" / "acme-challenge" / "one"
    challenge.parent.mkdir(parents=True)
    challenge.write_text("answer")
    async with aiohttp.ClientSession(f"http://localhost:{front.http_port}") as http:
        async with http.get("/.well-known/acme-challenge/one") as response:
            assert await response.text() == "answer"


async def test_other_names_are_refused(front: Gateway) -> None:
    assert status(await talk(front, get("/", "evil.example"))) == 421
    # The name in the request line counts (RFC 9112, section 3.2.2), whatever Host says.
    assert status(await talk(front, get("https://evil.example/"))) == 421
    with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"):
        await talk(front, get("/", "evil.example"), name="evil.example")
    async with aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await http.get(f"http://127.0.0.1:{front.http_port}/")


async def test_old_tls_is_refused(front: Gateway) -> None:
    context = front.trust()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await asyncio.open_connection("localhost", front.https_port, ssl=context)


@pytest.mark.parametrize("path", ["/metrics", "/metrics?x", "//metrics", "/%6detrics", "/ui/../metrics"])
async def test_metrics_are_not_for_the_outside(front: Gateway, path: str) -> None:
    answer = await talk(front, get(path))
    assert status(answer) == 403
    assert b"mediaserver_" not in answer


async def test_health_and_draining_reach_the_server(http: aiohttp.ClientSession) -> None:
    async with http.get("/healthz") as response:
        assert await response.json() == {"alive": True}
    async with http.get("/readyz") as response:
        assert (await response.json())["accepting"] is True
    async with http.post("/drain", json={"if_idle": True, "for_s": 0}) as response:
        assert (response.status, (await response.json())["error"]) == (404, "not_found")  # no keys here


async def test_pages_of_this_host_may_open_a_session_and_others_may_not(
    front: Gateway, http: aiohttp.ClientSession
) -> None:
    """``Host`` goes through with its port, as the server compares it with ``Origin``."""
    async with http.ws_connect("/ws/inference", origin=front.url) as socket:
        await socket.send_str('{"type": "hello"}')
        assert (await socket.receive_json(timeout=5))["type"] == "welcome"
    for origin in ("https://evil.example", "https://localhost"):
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            await http.ws_connect("/ws/inference", origin=origin)


# --- limits ---


async def test_what_is_too_large_is_refused(front: Gateway, http: aiohttp.ClientSession) -> None:
    async with http.post("/drain", data=b"x" * 5000) as response:
        assert response.status == 413
    async with http.get("/", headers={"X-Large": "x" * 5000}) as response:
        assert response.status == 400
    async with http.get("/?" + "x" * 5000) as response:
        assert response.status == 414
    upgrade = "GET /ws/inference HTTP/1.1\r\nHost: localhost\r\n" + UPGRADE.format("websocket", "A" * 22)
    assert status(await talk(front, upgrade + f"Sec-WebSocket-Protocol: {'x' * 5000}\r\n\r\n")) == 400
    assert status(await talk(front, upgrade + "X-Many: y\r\n" * 2000 + "\r\n")) == 400
    assert status(await talk(front, upgrade + "Content-Length: 5000\r\n\r\n" + "x" * 5000)) == 413


async def test_the_server_hears_what_it_can_trust(tmp_path: Path) -> None:
    """``Host`` with its port; no address that a client made up; and through an upgrade to anything but a
    WebSocket a client would talk to the server past every rule here."""
    heard: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    claimed = "X-Forwarded-For: 10.1.1.1\r\nForwarded: for=10.1.1.1\r\n"
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        async with gateway(tmp_path, [server.sockets[0].getsockname()[1]]) as front:
            for protocol in ("h2c", "websocket"):
                upgrade = UPGRADE.format(protocol, "A" * 22) + claimed
                request = f"GET /ws/inference HTTP/1.1\r\nHost: LocalHost:8443\r\n{upgrade}\r\n"
                assert status(await talk(front, request)) == 400
    h2c, websocket = heard
    assert b"h2c" not in h2c
    assert b"\r\nUpgrade: websocket\r\n" in websocket
    for request_head in heard:
        assert b"\r\nHost: localhost:8443\r\n" in request_head
        assert b"\r\nX-Forwarded-For: 127.0.0.1\r\n" in request_head
        assert b"10.1.1.1" not in request_head


async def test_an_address_has_so_many_sessions_at_most(tiny_models: Path, tmp_path: Path) -> None:
    async with contextlib.AsyncExitStack() as stack:
        live = await stack.enter_async_context(live_server(tiny_models))
        front = await stack.enter_async_context(gateway(tmp_path, [live.port]))
        http = await stack.enter_async_context(visitor(front))
        for _ in range(MAX_SESSIONS_AN_ADDRESS):
            await stack.enter_async_context(http.ws_connect("/ws/inference"))
        async with http.get("/ws/inference") as response:
            assert (response.status, response.headers["Retry-After"]) == (503, "10")
            assert await response.json() == {"error": "full", "retry_after_s": 10}
        async with http.get("/") as response:
            assert response.status == 200
        with pytest.raises(Unreachable, match="again in 10 s"):
            await connect(front)
        assert live.metric("connections_open") == MAX_SESSIONS_AN_ADDRESS
    assert Settings().max_sessions >= MAX_SESSIONS_AN_ADDRESS * 4


async def test_an_address_asks_so_often_at_most(tiny_models: Path, tmp_path: Path) -> None:
    async with contextlib.AsyncExitStack() as stack:
        live = await stack.enter_async_context(live_server(tiny_models, wait_ready=False))
        front = await stack.enter_async_context(gateway(tmp_path, [live.port]))
        http = await stack.enter_async_context(visitor(front))
        seen = []
        for _ in range(300):  # as fast as one can: 10 a second are let through, and 50 at once
            async with http.get("/healthz") as response:
                seen.append(response.status)
                if response.status == 503:
                    break
    assert seen[-1] == 503
    assert seen.count(200) >= 50


# --- the servers behind it ---


async def connect(front: Gateway) -> None:
    """With the Python client, which finds this gateway's certificate nowhere but here."""
    connector = aiohttp.TCPConnector(ssl=front.trust())
    async with aiohttp.ClientSession(connector=connector) as http:
        link = Link(http, front.socket_url, lambda message: None)
        try:
            await link.open(Hello())
        finally:
            await link.close()


async def test_a_server_that_is_away_is_said_so_in_words_that_clients_know(tmp_path: Path) -> None:
    async with gateway(tmp_path, free_ports(2)) as front, visitor(front) as http:
        for path in ("/ws/inference", "/readyz", "/config.json"):
            async with http.get(path, headers={"Origin": "https://elsewhere.example"}) as response:
                assert (response.status, response.headers["Retry-After"]) == (503, "2")
                assert await response.json() == {"error": "unavailable", "retry_after_s": 2}
                # A page on another host may read it.
                assert response.headers["Access-Control-Allow-Origin"] == "*"
                assert response.headers["Cache-Control"] == "no-cache"
        with pytest.raises(Unreachable, match="again in 2 s"):
            await connect(front)
        async with http.get("/") as response:
            assert response.status == 200  # the page is there, and says it


async def test_the_server_s_own_refusal_passes_unchanged(
    live: LiveServer, http: aiohttp.ClientSession
) -> None:
    live.server.pause(60, if_idle=False)
    try:
        async with http.get("/ws/inference") as response:
            assert (response.status, (await response.json())["error"]) == (503, "draining")
            assert int(response.headers["Retry-After"]) == 10
    finally:
        live.server.pause(0, if_idle=False)


# --- WHIP ---


async def test_encoders_publish_through_it(http: aiohttp.ClientSession) -> None:
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    peer.addTransceiver("video", direction="sendonly")
    try:
        offer = await offer_of(peer) + "a=x-padding:" + 8000 * "x" + "\r\n"  # as large as a browser's
    finally:
        await peer.close()
    async with http.post("/whip/door", data=offer, headers={"Content-Type": "application/sdp"}) as response:
        assert response.status == 201, await response.text()
        location = response.headers["Location"]
    headers = {"Content-Type": "application/trickle-ice-sdpfrag", "If-Match": response.headers["ETag"]}
    async with http.patch(location, data="a=end-of-candidates\r\n", headers=headers) as patched:
        assert patched.status == 204
    async with http.delete(location) as deleted:
        assert deleted.status == 200
    async with http.get("/whip") as reserved:
        assert reserved.status == 405
    async with http.post("/whip", data=70_000 * "x", headers={"Content-Type": "application/sdp"}) as large:
        assert large.status == 413
