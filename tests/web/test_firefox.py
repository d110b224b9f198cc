"""The page in real Firefox, whose WebRTC is not Chromium's."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from inference.catalogue import BUILT_IN, find_models
from inference.engines.contract import Engine
from inference.engines.embedded import EmbeddedEngine
from mediaserver.telemetry.metrics import Metrics
from tests.support.firefox import FirefoxPage, firefox
from tests.web.driven import diagnostics, start, stop
from tests.web.server import RedThingDetector, loading, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

ARTIFACTS = Path(os.environ.get("MEDIASERVER_ARTIFACTS", Path(__file__).resolve().parents[2] / "artifacts"))
HELD_S = float(os.environ.get("FIREFOX_HELD_S", "30"))
"""Many times what the page bears silence (2 s) and the server does (3 s)."""

_WATCH = """() => {
  const badge = document.querySelector("#transport");
  const shown = () => `${document.body.dataset.state} ${badge.textContent}`;
  window.ways = [shown()];
  const note = () => { if (window.ways.at(-1) !== shown()) window.ways.push(shown()); };
  const change = new MutationObserver(note);
  change.observe(badge, { childList: true });
  change.observe(document.body, { attributeFilter: ["data-state"] });
}"""
_SEND_CAMERA = """async ({ url, channel }) => {
  const { InferenceClient } = await import("/engine/client.js");
  const stream = await navigator.mediaDevices.getUserMedia({ video: true });
  const client = new InferenceClient({ url, track: stream.getVideoTracks()[0], channel });
  const seen = {};
  client.addEventListener("result", () => { seen[client.transport] = (seen[client.transport] ?? 0) + 1; });
  const enough = new Promise((resolve) => client.addEventListener("result", () => {
    if (Math.max(...Object.values(seen)) >= 100) resolve();
  }));
  client.start();
  await enough;
  await client.close();
  stream.getTracks().forEach((track) => track.stop());
  return seen;
}"""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def address() -> AsyncIterator[str]:
    async def load(_metrics: Metrics) -> Engine:
        return await EmbeddedEngine.open(find_models(BUILT_IN))

    async with serving(load, pose=True) as url:
        yield url


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def page() -> AsyncIterator[FirefoxPage]:
    async with firefox() as opened:
        yield opened


async def _start(page: FirefoxPage, address: str, source: str) -> None:
    await page.goto(address)
    await start(page, source)


async def _live(page: FirefoxPage) -> None:
    await page.says("#state", "Live")
    await page.says("#transport", "WebRTC")


async def _numbers(page: FirefoxPage) -> dict[str, float]:
    """The gauges by name; those that show a dash are left out."""
    shown = await page.evaluate(
        """() => [...document.querySelectorAll(".gauge")].map(
          (gauge) => [gauge.querySelector("dt").textContent, gauge.querySelector("output").textContent])"""
    )
    return {name: float(value) for name, value in shown if value != "–"}


@pytest.mark.parametrize("source", ["camera", "sample"])
async def test_webrtc_that_works_is_held(page: FirefoxPage, address: str, source: str) -> None:
    await _start(page, address, source)
    await _live(page)
    await page.evaluate(_WATCH)
    await asyncio.sleep(HELD_S)
    assert await page.evaluate("() => window.ways") == ["live WebRTC"]
    numbers = await _numbers(page)
    print(numbers)
    assert numbers["Inference"] > 0
    assert numbers["Sending"] > 0, "bytes are counted, whatever statistics have them"
    await page.screenshot(ARTIFACTS / f"firefox-{source}.png")
    await stop(page)
    assert page.errors == []


async def test_what_is_in_the_sample_is_found_and_drawn(page: FirefoxPage, address: str) -> None:
    await _start(page, address, "sample")
    await _live(page)
    await page.says(".gauge:last-of-type output", r"[3-9]|\d\d")
    await stop(page)


async def test_another_source_goes_on_with_the_session(page: FirefoxPage, address: str) -> None:
    await _start(page, address, "camera")
    await _live(page)
    for source, found in (("sample", r".*([2-9] people|1 person).*"), ("camera", "(0 [a-z ]+)+")):
        await page.choose("#source", source)
        await page.says("#findings", found)
    await _live(page)
    assert [step["state"] for step in (await diagnostics(page))["history"]] == ["connecting", "live"]
    await stop(page)
    assert page.errors == []


async def test_a_server_that_restarts_is_found_again_and_goes_on(page: FirefoxPage) -> None:
    async with serving(loading(RedThingDetector())) as address:
        await _start(page, address, "sample")
        await _live(page)
        await page.says("#findings", "1 thing")
    await page.says("#state", "Reconnecting")
    async with serving(loading(RedThingDetector()), port=int(address.rstrip("/").rsplit(":", 1)[1])):
        await _live(page)
        before = (await diagnostics(page))["stats"]
        await page.says("#findings", "1 thing")
        assert before["transport"] == "webrtc+datachannel"
        await stop(page)


@pytest.mark.parametrize(
    ("channel", "transport"), [("datachannel", "webrtc+datachannel"), ("websocket", "webrtc+websocket")]
)
async def test_results_come_on_either_channel(
    page: FirefoxPage, address: str, channel: str, transport: str
) -> None:
    await page.goto(address + "examples/minimal.html")
    url = address.replace("http", "ws") + "ws/inference"
    seen = await page.evaluate(_SEND_CAMERA, {"url": url, "channel": channel})
    assert seen[transport] >= 100


async def test_a_browser_that_hides_pictures_says_so() -> None:
    async with (
        serving(loading(RedThingDetector())) as address,
        firefox(privacy__resistFingerprinting=True) as page,
    ):
        await _start(page, address, "sample")
        await page.says("#cover-title", "The browser hides pictures from pages")
