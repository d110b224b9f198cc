"""The page in real WebKit. Debian's build has no WebRTC: it proves the page, its camera and JPEG frames."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.webkitgtk import WebKitPage, webkitgtk
from tests.web.driven import diagnostics, start, stop
from tests.web.server import RedThingDetector, loading, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

ARTIFACTS = Path(os.environ.get("MEDIASERVER_ARTIFACTS", Path(__file__).resolve().parents[2] / "artifacts"))


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def page() -> AsyncIterator[WebKitPage]:
    async with webkitgtk() as opened:
        yield opened


async def _start(page: WebKitPage, address: str, source: str) -> None:
    await page.goto(address)
    await page.evaluate(
        """() => {
          window.errors = [];
          addEventListener("error", ({ message }) => errors.push(message));
          addEventListener("unhandledrejection", ({ reason }) => errors.push(String(reason)));
        }"""
    )
    await start(page, source)


@pytest.mark.parametrize("source", ["camera", "sample"])
async def test_it_is_live_with_single_pictures_and_says_why(
    page: WebKitPage, address: str, source: str
) -> None:
    """The mock camera paints a red square, and the sample has a red light."""
    await _start(page, address, source)
    await page.says("#state", "Live")
    assert await page.text("#transport") == "JPEG"
    await page.says("#toast-words", "This browser has no WebRTC.*")
    await page.says("#findings", "1 thing")
    assert await page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    await page.screenshot(ARTIFACTS / f"webkitgtk-{source}.png")
    await stop(page)
    assert await page.evaluate("() => errors") == []


async def test_another_source_goes_on_with_the_session(page: WebKitPage, address: str) -> None:
    await _start(page, address, "camera")
    await page.says("#findings", "1 thing")
    session = (await diagnostics(page))["session"]
    await page.choose("#source", "sample")
    await page.evaluate(
        """async () => {
          const isClip = () => {
            const video = document.querySelector("iframe").contentDocument?.querySelector("#video");
            return video?.videoWidth === 640 && video.srcObject?.getVideoTracks()[0].canvas?.width === 640;
          };
          while (!isClip()) await new Promise((resolve) => setTimeout(resolve, 100));
        }"""
    )
    await page.says("#findings", "1 thing")
    assert (await diagnostics(page))["session"] == session
    await stop(page)


async def test_a_server_that_restarts_is_found_again(page: WebKitPage) -> None:
    async with serving(loading(RedThingDetector())) as address:
        await _start(page, address, "sample")
        await page.says("#findings", "1 thing")
    await page.says("#state", "Reconnecting")
    async with serving(loading(RedThingDetector()), port=int(address.rstrip("/").rsplit(":", 1)[1])):
        await page.says("#state", "Live")
        await page.says("#findings", "1 thing")
        await stop(page)
