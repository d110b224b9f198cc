"""Ways to the server: WebRTC, JPEG frames where UDP is blocked, and back."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.support.impairment import RELAY_INTERFACES, Impairment, ImpairmentRelay
from tests.web.browser import Page, expect
from tests.web.server import RedThingDetector, loading, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def address() -> AsyncIterator[str]:
    async with serving(loading(RedThingDetector(0.05)), ice_interfaces=RELAY_INTERFACES) as url:
        yield url


async def _through(page: Page, relay: ImpairmentRelay) -> None:
    """Leads the page's media through ``relay``, by rewriting what passes over its WebSocket."""

    def to_server(text: str | bytes) -> str | bytes:
        message: dict[str, Any] = json.loads(text) if isinstance(text, str) else {}
        if message.get("type") == "offer":
            message["sdp"] = relay.sdp_to_server(message["sdp"])
        elif message.get("type") == "candidate" and message["candidate"]:
            message["candidate"]["candidate"] = relay.candidate_to_server(message["candidate"]["candidate"])
        return json.dumps(message) if message else text

    def to_client(text: str | bytes) -> str | bytes:
        message: dict[str, Any] = json.loads(text) if isinstance(text, str) else {}
        if message.get("type") != "answer":
            return text
        return json.dumps({**message, "sdp": relay.sdp_to_client(message["sdp"])})

    def route(client: Any) -> None:
        server = client.connect_to_server()
        client.on_message(lambda text: server.send(to_server(text)))
        server.on_message(lambda text: client.send(to_client(text)))

    await page.route_web_socket("**/ws/inference*", route)


async def _start(page: Page, address: str) -> None:
    await page.goto(address)
    await page.get_by_role("button", name="Start", exact=True).click()


async def _becomes(page: Page, transport: str, *, seconds: float) -> float:
    """Waits for the badge, and for results; how long it took, in seconds."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    await expect(page.locator("#transport")).to_have_text(transport, timeout=seconds * 1000)
    took = loop.time() - began
    objects = page.locator(".gauge", has_text="Objects").locator("output")
    await expect(objects).to_have_text("1")
    print(f"{transport} after {took:.1f} s")
    return took


async def test_udp_blocked_from_the_start(page: Page, address: str) -> None:
    async with ImpairmentRelay() as relay:
        relay.kill()
        await _through(page, relay)
        await _start(page, address)
        await _becomes(page, "JPEG", seconds=12.0)
        await expect(page.locator("#toast-words")).to_contain_text("UDP is blocked")
        relay.kill(False)
        await _becomes(page, "WebRTC", seconds=20.0)


async def test_udp_dies_in_mid_session(page: Page, address: str) -> None:
    async with ImpairmentRelay() as relay:
        await _through(page, relay)
        await _start(page, address)
        await _becomes(page, "WebRTC", seconds=15.0)
        session = await _session(page)
        relay.kill()
        await _becomes(page, "JPEG", seconds=5.0)
        await expect(page.locator("#toast-words")).to_contain_text("Video gets no way through now")
        await asyncio.sleep(3.5)  # longer than the server bears silence
        assert await _session(page) == session
        await expect(page.locator("#state")).to_have_text("Live")


async def test_results_that_the_network_holds_up_are_told(page: Page, address: str) -> None:
    async with ImpairmentRelay() as relay:
        await _through(page, relay)
        await _start(page, address)
        await _becomes(page, "WebRTC", seconds=15.0)
        relay.uplink.impairment = Impairment(delay=1.2)
        await expect(page.locator("#toast-words")).to_contain_text("Results are late")
        relay.uplink.impairment = Impairment()
        await expect(page.locator("#toast-words")).to_be_empty()


async def test_a_lost_network_costs_no_session(page: Page, address: str) -> None:
    sockets: list[Any] = []
    await page.route_web_socket(
        "**/ws/inference*", lambda client: sockets.append((client, client.connect_to_server()))
    )
    await _start(page, address)
    await _becomes(page, "WebRTC", seconds=15.0)
    session = await _session(page)
    for side in sockets.pop():
        await side.close(code=3001, reason="the network went away")
    await expect(page.locator("#state")).to_have_text("Reconnecting")
    await expect(page.locator("#state")).to_have_text("Live")
    await _becomes(page, "WebRTC", seconds=5.0)
    assert await _session(page) == session
    assert len(sockets) == 1


async def test_a_hidden_tab_sends_just_enough_to_stay(page: Page, address: str) -> None:
    await _start(page, address)
    await _becomes(page, "WebRTC", seconds=15.0)
    inference = page.locator(".gauge", has_text="Inference").locator("output")
    await _hide(page, hidden=True)
    await expect(inference).to_have_text(re.compile(r"^[1-3]\.\d$"))
    await asyncio.sleep(3.5)  # longer than the server bears silence
    await expect(page.locator("#state")).to_have_text("Live")
    await expect(inference).to_have_text(re.compile(r"^[1-3]\.\d$"))
    await _hide(page, hidden=False)
    await expect(inference).to_have_text(re.compile(r"^([5-9]|\d\d)\.\d$"))


async def _hide(page: Page, *, hidden: bool) -> None:
    """As if the tab were in the background: headless Chromium has none."""
    engine = page.frame(url="**/engine.html")
    assert engine is not None
    await engine.evaluate(
        """(hidden) => {
          Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
          document.dispatchEvent(new Event("visibilitychange"));
        }""",
        hidden,
    )


async def _session(page: Page) -> str:
    await page.locator("details").evaluate("details => { details.open = true }")
    await expect(page.locator("#diagnostics")).to_contain_text('"session": "')
    report: dict[str, str] = json.loads(await page.locator("#diagnostics").inner_text())
    return report["session"]


async def test_the_server_learns_what_the_camera_gives(page: Page, address: str) -> None:
    offers: list[dict[str, Any]] = []

    def note(text: str | bytes) -> None:
        if isinstance(text, str) and (message := json.loads(text))["type"] == "offer":
            offers.append(message)

    page.on("websocket", lambda socket: socket.on("framesent", note))
    await _start(page, address)
    await _becomes(page, "WebRTC", seconds=15.0)
    assert [offer["camera_framerate"] for offer in offers] == [30]


async def test_no_more_is_sent_than_the_server_asks_for(page: Page) -> None:
    async with serving(loading(RedThingDetector(0.19))) as slow:
        await _start(page, slow)
        skipped = page.locator(".gauge", has_text="Skipped").locator("output")
        await expect(skipped).to_have_text(re.compile(r"^\d\d$"))  # 30 come, 5 can be used
        await expect(skipped).to_have_text(re.compile(r"^[0-4]$"))
