from __future__ import annotations

from pathlib import Path

import aiohttp
import pytest

from tests.live_server import live_server


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
        "sessions_active",
        "sessions_ended_total",
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
    from mediaserver.server import MediaServer, Readiness
    from mediaserver.settings import Settings
    from tests.waiting import eventually

    async def load_nothing(metrics: object) -> None:
        raise RuntimeError("the GPU is on holiday")

    server = MediaServer(Settings(), load_nothing)  # type: ignore[arg-type]
    async with server.running():
        await eventually(server.failed.is_set)
        assert server.readiness is Readiness.FAILED
        assert server.failure == "the GPU is on holiday"
        assert server.refusal() is not None


@pytest.mark.parametrize("path", ["/", "/engine/client.js", "/config.json"])
async def test_the_page_is_served_with_strict_headers(tiny_models: Path, path: str) -> None:
    async with live_server(tiny_models) as live, aiohttp.ClientSession(live.http_url) as http:
        async with http.get(path) as response:
            assert response.status == 200
            assert "default-src 'self'" in response.headers["Content-Security-Policy"]
            assert "unsafe" not in response.headers["Content-Security-Policy"]
            assert response.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("path", ["/../pyproject.toml", "/%2e%2e/pyproject.toml", "/engine/", "/absent.js"])
async def test_nothing_else_is_served(tiny_models: Path, path: str) -> None:
    async with live_server(tiny_models) as live, aiohttp.ClientSession() as http:
        async with http.get(live.http_url.rstrip("/") + path) as response:
            assert response.status in (403, 404)
