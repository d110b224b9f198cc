"""What Chromium makes of answers to offers that are more than one camera."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import pytest_asyncio

from tests.support.live_server import LiveServer, live_server

pytestmark = pytest.mark.asyncio(loop_scope="module")

CALLS = (Path(__file__).parent / "chromium_calls.js").read_text()
Call: TypeAlias = Callable[..., Awaitable[Any]]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def live(tiny_models: Path) -> AsyncIterator[LiveServer]:
    async with live_server(tiny_models) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def call(live: LiveServer) -> AsyncIterator[Call]:
    """Runs one of ``chromium_calls.js``. Without leave to use a camera, a browser's candidates are names."""
    from tests.web.browser import chromium  # skips where there is no Playwright

    async with chromium() as browser:
        page = await browser.new_page()
        await page.goto(f"{live.http_url}healthz")  # of the server's origin, else it lets nobody in

        async def run(name: str, **options: Any) -> Any:
            calls = CALLS.rstrip().removesuffix(";")
            script = f"([url, options]) => {calls}[{name!r}](url, options)"
            async with asyncio.timeout(60):
                return await page.evaluate(script, [live.socket_url, options])

        yield run


@pytest.mark.parametrize(
    ("policy", "bundle"),
    [
        ("balanced", True),
        ("balanced", False),
        ("max-compat", True),
        ("max-compat", False),
        ("max-bundle", True),
    ],
)
async def test_in_a_call_the_camera_is_received(call: Call, bundle: bool, policy: str) -> None:
    outcome = await call("call", bundle=bundle, policy=policy)
    assert outcome["said"] == []
    assert outcome["arrived"], outcome
    assert outcome["state"] == "connected"
    assert outcome["directions"][-1] == "sendonly"


async def test_a_stopped_camera_leaves_its_place_in_a_later_offer(call: Call) -> None:
    outcome = await call("replaced")
    assert outcome["before"], outcome
    assert outcome["stopped"], outcome
    assert outcome["said"] == []
    assert outcome["arrived"], outcome


@pytest.mark.parametrize("profile", ["42001f", "42e01f", "4d001f", "64001f", "packetization-mode=0"])
async def test_h264_alone(call: Call, profile: str) -> None:
    outcome = await call("h264", profile=profile)
    if outcome is None:
        pytest.skip(f"this Chromium has no H.264 with {profile}")
    assert outcome["said"] == []
    assert outcome["arrived"], outcome
