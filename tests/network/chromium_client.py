"""The page's client in Chromium on the other side of a `Stage`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.network.arrivals import Arrival, now
from tests.network.stage import Stage
from tests.web.browser import Page, chromium, chromium_path

_RUN = """
async ({ channel, blockWebRtc }) => {
  if (blockWebRtc) delete globalThis.RTCPeerConnection;
  const { InferenceClient } = await import("/engine/client.js");
  const stream = await navigator.mediaDevices.getUserMedia({ video: true });
  const url = `${location.origin.replace("http", "ws")}/ws/inference`;
  const client = new InferenceClient({ url, track: stream.getVideoTracks()[0], channel });
  globalThis.client = client;
  globalThis.seen = { results: [], transports: [], states: [], notices: [], texts: [] };
  let ageMs = null;
  let serverMs = 0;
  client.addEventListener("result", ({ detail }) => {
    ageMs = detail.ageMs;
    serverMs = detail.result.timing_ms.total;
    seen.results.push([performance.now(), detail.ageMs / 1000, detail.result.seq]);
  });
  client.addEventListener("transport", ({ detail }) => seen.transports.push(detail));
  client.addEventListener("texts", ({ detail }) => seen.texts.push(detail.id));
  client.addEventListener("state", ({ detail }) => seen.states.push(detail.state));
  const { NetworkWatch } = await import("/engine/network_watch.js");
  const watch = new NetworkWatch();
  const look = () => watch.observe(client.sending, ageMs, serverMs, performance.now());
  setInterval(() => seen.notices.push(look()), 500);
  client.start();
}
"""


@dataclass
class ChromiumClient:
    page: Page

    async def seen(self) -> dict[str, list[Any]]:
        """What it has got so far: ``results`` as `Arrival`, ``transports``, ``states``, ``notices``; of
        the events with ``texts`` their ids."""
        told = await self.page.evaluate("({ now: performance.now(), ...seen })")
        offset = now() - told["now"] / 1000
        told["results"] = [Arrival(at / 1000 + offset, age_s, seq) for at, age_s, seq in told["results"]]
        return dict(told)

    async def is_told(self, notice: str, timeout_s: float) -> None:
        """Waits until this is the newest of ``notices``."""
        async with asyncio.timeout(timeout_s):
            while (await self.seen())["notices"][-1:] != [notice]:  # noqa: ASYNC110 - it is over there
                await asyncio.sleep(0.25)

    async def live(self) -> None:
        """Waits for the first result."""
        async with asyncio.timeout(30):
            while not await self.page.evaluate("seen.results.length"):  # noqa: ASYNC110 - it is over there
                await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def chromium_client(
    link: Stage, address: str, clip: Path, *, channel: str = "datachannel", block_webrtc: bool = False
) -> AsyncIterator[ChromiumClient]:
    """Sends ``clip`` (.mjpeg) as its camera, in a loop."""
    allowed = f"--unsafely-treat-insecure-origin-as-secure={address.rstrip('/')}"
    async with chromium(allowed, clip=clip, path=link.browser(chromium_path())) as browser:
        context = await browser.new_context(permissions=["camera"])
        page = await context.new_page()
        await page.goto(f"{address}healthz")
        await page.evaluate(_RUN, {"channel": channel, "blockWebRtc": block_webrtc})
        client = ChromiumClient(page)
        await client.live()
        yield client
