from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest
import pytest_asyncio

from mediaserver.settings.types import HttpUrl, Origin, TokenKeys
from signaling.auth import Audience
from tests.support.live_server import LiveServer, live_server, raw_socket
from tests.support.token_vectors import KEYS, TOKENS
from tests.support.waiting import eventually


def signed(audience: str, **more: str) -> str:
    """A token for that audience, good for a minute; ``more`` are further claims."""
    claims = {"aud": audience, "sub": "test", "exp": int(time.time()) + 60, **more}
    return jwt.encode(claims, KEYS["k1"], algorithm="HS256", headers={"kid": "k1"})


def fits_into_a_header(token: object) -> bool:
    """RFC 9110, section 5.5, and the 8190 bytes that aiohttp reads."""
    return isinstance(token, str) and len(token) < 8000 and not set(token) & set("\0\r\n")


async def test_health_readiness_and_metrics(tiny_models: Path) -> None:
    async with live_server(tiny_models) as live, aiohttp.ClientSession(live.http_url) as http:
        async with http.get("/healthz") as response:
            assert response.status == 200
        async with http.get("/readyz") as response:
            assert response.status == 200
            assert (await response.json())["accepting"] is True
        async with http.get("/metrics") as response:
            text = await response.text()
    assert response.content_type == "text/plain"
    for name in (
        "connections_open",
        "connections_ended_total",
        "sessions_ended_total",
        "packets_requested_total",
        "keyframes_requested_total",
        "receive_faults_total",
        "frames_received_total",
        "frames_dropped_total",
        "frames_inferred_total",
        "stage_seconds",
        "pipeline_fps",
        "batch_size",
        "model_errors_total",
        "event_loop_lag_seconds",
    ):
        assert f"# HELP mediaserver_{name.removesuffix('_total')}" in text, name


async def test_models_that_cannot_be_used_make_the_server_unready(tmp_path: Path, tiny_models: Path) -> None:
    from mediaserver.server import scoreboard
    from mediaserver.server.core import MediaServer, Readiness
    from mediaserver.settings.model import Settings
    from mediaserver.telemetry.metrics import Metrics

    async def load_nothing(metrics: object) -> None:
        raise RuntimeError("the GPU is on holiday")

    server = MediaServer(Settings(), load_nothing, Metrics(), scoreboard.alone(1).rows[0])  # type: ignore[arg-type]
    async with server.running():
        assert await server.settled() is Readiness.FAILED
        assert server.trouble == "the GPU is on holiday"
        assert server.refusal() is not None


async def test_the_page_is_told_of_the_lifecycle_service_and_may_ask_it(tiny_models: Path) -> None:
    api = HttpUrl("https://api.example.org/prod")
    async with live_server(tiny_models, lifecycle_api=api) as live, aiohttp.ClientSession() as http:
        async with http.get(f"{live.http_url}config.json") as response:
            assert await response.json() == {"api": "https://api.example.org/prod", "synthetic": False}
            policy = response.headers["Content-Security-Policy"]
            assert "connect-src 'self' ws: wss: https://api.example.org https: " in policy
    async with live_server(tiny_models) as live, aiohttp.ClientSession() as http:
        async with http.get(f"{live.http_url}config.json") as response:
            assert await response.json() == {"api": None, "synthetic": False}


async def test_a_page_on_another_host_can_learn_why_it_is_refused(tiny_models: Path) -> None:
    site = Origin("https://site.example")
    async with live_server(tiny_models, allowed_origins=(site,)) as live, aiohttp.ClientSession() as http:
        live.server.pause(60, if_idle=True)
        async with http.get(f"{live.http_url}ws/inference", headers={"Origin": site}) as response:
            assert response.status == 503
            assert response.headers["Access-Control-Allow-Origin"] == site
            assert (await response.json())["error"] == "draining"


class TestDrain:
    """``POST /drain``, as the functions that stop the machine ask for it."""

    @pytest_asyncio.fixture
    async def live(self, tiny_models: Path) -> AsyncIterator[LiveServer]:
        async with live_server(tiny_models, token_keys=TokenKeys(json.dumps(KEYS))) as running:
            yield running

    async def ask(
        self, live: LiveServer, content: object, token: str | None = None, scheme: str = "Bearer"
    ) -> tuple[int, dict[str, Any]]:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        headers = {"Authorization": f"{scheme} {token or signed('mediaserver-control')}"}
        async with aiohttp.ClientSession() as http:
            async with http.post(f"{live.http_url}drain", data=body, headers=headers) as response:
                return response.status, await response.json()

    async def test_an_idle_server_takes_nobody_for_a_while(self, live: LiveServer) -> None:
        assert await self.ask(live, {"if_idle": True, "for_s": 60}) == (200, {"sessions": 0})
        async with aiohttp.ClientSession() as http:
            async with http.get(f"{live.http_url}readyz") as response:
                assert (response.status, (await response.json())["state"]) == (503, "draining")
            assert await self.ask(live, {"if_idle": True, "for_s": 1}) == (200, {"sessions": 0})
            await eventually(lambda: live.server.refusal() is None)
            async with http.get(f"{live.http_url}readyz") as response:
                assert (response.status, (await response.json())["state"]) == (200, "ready")

    async def test_a_busy_one_only_where_it_must(self, live: LiveServer) -> None:
        async with raw_socket(live) as socket:
            await socket.send_str(json.dumps({"type": "hello", "token": signed("mediaserver")}))
            await socket.receive_json(timeout=5)
            assert await self.ask(live, {"if_idle": True, "for_s": 60}) == (409, {"sessions": 1})
            assert live.server.refusal() is None
            assert await self.ask(live, {"if_idle": False, "for_s": 60}) == (200, {"sessions": 1})
            assert live.server.refusal() is not None

    async def test_is_for_the_functions_alone(self, live: LiveServer) -> None:
        request = {"if_idle": False, "for_s": 60}
        control = signed("mediaserver-control")
        for token, scheme in ((signed("mediaserver"), "Bearer"), ("garbage", "Bearer"), (control, "Basic")):
            status, answer = await self.ask(live, request, token, scheme)
            assert (status, answer["error"]) == (401, "unauthorized")
        async with aiohttp.ClientSession() as http:
            async with http.post(f"{live.http_url}drain", json=request) as response:
                assert response.status == 401
                assert response.headers["WWW-Authenticate"] == "Bearer"
        assert live.server.refusal() is None

    @pytest.mark.parametrize(("region", "status"), [("eu", 200), ("us", 401)])
    async def test_a_token_with_a_region_drains_servers_of_that_region(
        self, tiny_models: Path, region: str, status: int
    ) -> None:
        async with live_server(tiny_models, token_keys=TokenKeys(json.dumps(KEYS)), region="eu") as live:
            token = signed("mediaserver-control", region=region)
            assert (await self.ask(live, {"if_idle": True, "for_s": 1}, token))[0] == status

    async def test_refuses_every_bad_token(self, live: LiveServer) -> None:
        for vector in TOKENS:
            token = vector.made_for(Audience.CONTROL)
            if vector.refused and vector.keys is None and fits_into_a_header(token):
                status, answer = await self.ask_in_bytes(
                    live, f"Bearer {token}".encode(errors="surrogatepass")
                )
                assert (status, answer["error"]) == (401, "unauthorized"), vector.name

    async def ask_in_bytes(self, live: LiveServer, authorization: bytes) -> tuple[int, dict[str, Any]]:
        """Also with what no client of ours would send."""
        reader, writer = await asyncio.open_connection("127.0.0.1", live.port)
        head = b"POST /drain HTTP/1.1", b"Host: test", b"Connection: close", b"Content-Length: 0"
        writer.write(b"\r\n".join((*head, b"Authorization: " + authorization, b"", b"")))
        status, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        await writer.wait_closed()
        return int(status.split()[1]), json.loads(body)

    @pytest.mark.parametrize(
        ("content", "status", "code"),
        [
            (b"", 400, "bad_request"),
            (b"{", 400, "bad_request"),
            (b"\xff", 400, "bad_request"),
            (b"[" * 4000, 400, "bad_request"),
            ([], 400, "bad_request"),
            ({"if_idle": True}, 400, "bad_request"),
            ({"if_idle": "yes", "for_s": 60}, 400, "bad_request"),
            ({"if_idle": True, "for_s": -1}, 400, "bad_request"),
            ({"if_idle": True, "for_s": 86_400}, 400, "bad_request"),
            (b" " * 5000, 413, "too_large"),
        ],
    )
    async def test_bad_requests_get_typed_answers(
        self, live: LiveServer, content: object, status: int, code: str
    ) -> None:
        answer = await self.ask(live, content)
        assert (answer[0], answer[1]["error"]) == (status, code)
        assert live.server.refusal() is None

    async def test_without_keys_there_is_none(self, tiny_models: Path) -> None:
        async with live_server(tiny_models) as live:
            status, answer = await self.ask(live, {"if_idle": True, "for_s": 60})
            assert (status, answer["error"]) == (404, "not_found")
            assert live.server.refusal() is None


@pytest.mark.parametrize("path", ["/", "/engine/client.js", "/config.json"])
async def test_the_page_is_served_with_strict_headers(tiny_models: Path, path: str) -> None:
    async with live_server(tiny_models) as live, aiohttp.ClientSession(live.http_url) as http:
        async with http.get(path) as response:
            assert response.status == 200
            assert "default-src 'self'" in response.headers["Content-Security-Policy"]
            assert "unsafe" not in response.headers["Content-Security-Policy"]
            assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "path",
    [
        "/../pyproject.toml",
        "/%2e%2e/pyproject.toml",
        "/engine/",
        "/absent.js",
        "//etc/passwd",
        "/tsconfig.json",
        "/tests/words.test.js",
    ],
)
async def test_nothing_else_is_served(tiny_models: Path, path: str) -> None:
    async with live_server(tiny_models) as live, aiohttp.ClientSession() as http:
        async with http.get(live.http_url.rstrip("/") + path) as response:
            assert response.status == 404
            assert (await response.json())["error"] == "not_found"


async def test_a_browser_at_an_unknown_address_gets_something_to_read(tiny_models: Path) -> None:
    browser = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    async with live_server(tiny_models) as live, aiohttp.ClientSession(headers=browser) as http:
        async with http.get(live.http_url + "no/such/page") as response:
            assert (response.status, response.content_type) == (404, "text/html")
            assert "There is nothing at this address" in await response.text()
            assert "Content-Security-Policy" in response.headers
