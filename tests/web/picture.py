"""``python -m tests.web.picture``: the picture of the page in the README, and nobody else's picture in it.

The sample clip is what Chromium's camera sees; the server, its pulled models and the page are real.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from inference.catalogue import find_models
from inference.engines.contract import Engine
from inference.engines.embedded import EmbeddedEngine
from mediaserver.paths import model_cache, sample_clip
from mediaserver.telemetry.metrics import Metrics
from rendered_world import film
from tests.web.browser import camera_clip_of, chromium, expect
from tests.web.server import serving

_READ_NOW = """() => new Promise((resolve) => {
  const log = document.querySelector("#log");
  new MutationObserver(() => resolve()).observe(log, { childList: true });
  document.querySelector("#read-now").click();
})"""
PICTURE = Path(__file__).resolve().parents[2] / "docs" / "images" / "page.jpg"


async def take(path: Path) -> None:
    """Writes the picture of a live page as JPEG."""
    with tempfile.TemporaryDirectory() as directory:
        clip = Path(directory) / "street.mjpeg"
        camera_clip_of(sample_clip(), clip, film.SECONDS)

        async def load(_metrics: Metrics) -> Engine:
            return await EmbeddedEngine.open(find_models(None, cache=model_cache()))

        async with serving(load, pose=True, ocr=True) as address, chromium(clip=clip) as browser:
            page = await browser.new_page(
                viewport={"width": 1360, "height": 860}, permissions=["camera"], color_scheme="dark"
            )
            await page.goto(address)
            await page.get_by_label("Mirror").uncheck()
            await page.get_by_label("Exact boxes").check()
            await page.get_by_role("button", name="Start", exact=True).click()
            await expect(page.locator("#transport")).to_have_text("WebRTC")
            await page.wait_for_timeout(10_000)  # the browser finds out how much it may send; the plots fill
            await page.get_by_role("switch", name="Text").check()
            await page.mouse.move(0, 0)
            await page.evaluate(_READ_NOW)  # the text is on the picture for a moment only
            await expect(page.locator("#log p").first).to_be_visible()
            await page.wait_for_timeout(800)  # reading took the processor from the rest
            path.parent.mkdir(exist_ok=True)
            await page.screenshot(path=path, type="jpeg", quality=88)


if __name__ == "__main__":
    asyncio.run(take(Path(sys.argv[1]) if sys.argv[1:] else PICTURE))
