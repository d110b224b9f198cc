"""The examples of ``docs/browser.md`` in a real browser, as they stand there."""

from __future__ import annotations

import asyncio

import pytest

from tests.test_documents import ROOT, examples
from tests.web.browser import Page, expect
from tests.web.server import RedThingDetector, loading, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

_DRAW = """async (url) => {
  const { InferenceClient } = await import("/engine/client.js");
  const { Overlay } = await import("/engine/overlay.js");
  const stream = await navigator.mediaDevices.getUserMedia({ video: true });
  const video = Object.assign(document.createElement("video"), { muted: true, srcObject: stream });
  const canvas = document.createElement("canvas");
  for (const element of [video, canvas]) {
    Object.assign(element.style, { position: "fixed", inset: "0", width: "320px", height: "240px" });
    document.body.append(element);
  }
  await video.play();
  const client = new InferenceClient({ url, track: stream.getVideoTracks()[0] });
  EXAMPLE
  client.start();
  while (overlay.firstDrawnAt === null) await new Promise(requestAnimationFrame);
  client.close();
  overlay.close();
}"""


async def test_the_page_in_ten_lines_shows_what_was_found(page: Page) -> None:
    async with serving(loading(RedThingDetector())) as address:
        await page.goto(address + "examples/minimal.html")
        await page.get_by_role("button", name="Start").click()
        await expect(page.locator("pre")).to_contain_text('"thing"', timeout=20_000)


async def test_the_overlay_draws_what_was_found(page: Page) -> None:
    _, example = examples(ROOT / "docs" / "browser.md", "js")
    async with serving(loading(RedThingDetector())) as address, asyncio.timeout(20):
        await page.goto(address + "examples/minimal.html")
        url = address.replace("http", "ws") + "ws/inference"
        await page.evaluate(_DRAW.replace("EXAMPLE", example), url)
