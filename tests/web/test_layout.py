"""How the page fits the window, and is touched and read: measured in real Chromium, and kept as pictures."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal, TypeAlias

import pytest

from tests.support.node_packages import installed
from tests.web.browser import Browser, Page, expect
from tests.web.server import RedThingDetector, loading, serving, token_keys

pytestmark = pytest.mark.asyncio(loop_scope="module")

ARTIFACTS = Path(os.environ.get("MEDIASERVER_ARTIFACTS", Path(__file__).resolve().parents[2] / "artifacts"))
AXE = Path(__file__).resolve().parents[1] / "support" / "axe"
Scheme: TypeAlias = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")
SIZES = [(360, 740), (390, 844), (844, 390), (768, 1024), (1280, 800), (1920, 1080)]
ONE_KEY = token_keys({"k1": "a key of more than 32 bytes, say 36"})

_UNFOLD = """() => {
  const shown = "#lease, #busy, #transport, #flip, #synthetic, #others, #key-form, #toast, #cost, #reading";
  for (const element of document.querySelectorAll(shown)) element.hidden = false;
  for (const details of document.querySelectorAll("details")) details.open = true;
  const words = {
    "#busy": "Server busy: motion paused, reading paused, fewer results a second",
    "#cost": "about $12.35 now, $112.10 this month",
    "#countdown": "stops in 7:59:59",
    "#flip": "Front camera",
    ".model": "movenet_thunder_topdown · 1 kind · Apache-2.0",
  };
  for (const [selector, text] of Object.entries(words)) {
    for (const element of document.querySelectorAll(selector)) element.textContent = text;
  }
  const camera = "Integrated RGB Camera with a long name of its maker (13d3:56eb)";
  document.getElementById("source").append(new Option(camera, "x", true, true));
}"""
_WIDER = """() => [...document.body.querySelectorAll("*")]
  .filter((element) => !element.closest("pre, dialog, .visually-hidden") && element.checkVisibility())
  .filter((element) => element.getBoundingClientRect().right > innerWidth + 1)
  .map((element) => element.id || element.className || element.tagName)"""
_SMALL = """() => [...document.querySelectorAll("button, select, .chip, .switch, input[type=range], summary")]
  .filter((element) => element.checkVisibility() && element.getBoundingClientRect().height > 0)
  .filter((element) => element.getBoundingClientRect().height < 43.5)
  .map((element) => `${element.id || element.textContent}: ${element.getBoundingClientRect().height}`)"""
# WCAG 2.2, 1.4.11: of a switch that is off, and of the rim of a control, against the card that they are on.
_CONTRAST = """() => {
  const channel = (value) => (value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  const luminance = (colour) => {
    const [r, g, b] = colour.match(/[\\d.]+/g).map(Number);
    return 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  };
  const ratio = (one, other) => {
    const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (light + 0.05) / (dark + 0.05);
  };
  const style = (selector) => getComputedStyle(document.querySelector(selector));
  const card = style(".card").backgroundColor;
  return {
    off: ratio(style("[data-model=flow]").backgroundColor, card),
    on: ratio(style("[data-model=detect]").backgroundColor, card),
    rim: ratio(style("#way").borderTopColor, card),
  };
}"""


async def _start(page: Page, address: str) -> None:
    await page.goto(address)
    await page.get_by_role("button", name="Start", exact=True).click()
    await expect(page.locator("#state")).to_have_text("Live")
    await expect(page.locator("#findings button").first).to_be_visible()


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
async def test_nothing_is_wider_than_the_window(page: Page, address: str, size: tuple[int, int]) -> None:
    await page.set_viewport_size({"width": size[0], "height": size[1]})
    await _start(page, address)
    ARTIFACTS.mkdir(exist_ok=True)
    for scheme in SCHEMES:
        await page.emulate_media(color_scheme=scheme)
        await page.screenshot(path=ARTIFACTS / f"live-{size[0]}x{size[1]}-{scheme}.png")
    await page.evaluate(_UNFOLD)
    await page.wait_for_timeout(1100)  # the diagnostics are written each second
    assert await page.evaluate(_WIDER) == []
    assert await page.evaluate("() => document.documentElement.scrollWidth") <= size[0]
    await page.screenshot(path=ARTIFACTS / f"unfolded-{size[0]}x{size[1]}.png", full_page=True)
    await page.get_by_role("button", name="Stop", exact=True).click()
    await expect(page.locator("#state")).to_have_text("Ready")
    assert await page.evaluate(_WIDER) == []


async def test_a_phone_on_its_side_gives_most_of_its_window_to_the_picture(page: Page, address: str) -> None:
    await page.set_viewport_size({"width": 844, "height": 390})
    await _start(page, address)
    box = await page.locator("#picture").bounding_box()
    assert box is not None
    assert box["y"] >= 0
    assert box["y"] + box["height"] <= 390
    assert box["width"] * box["height"] >= 0.6 * 844 * 390
    button = await page.locator("#start-stop").bounding_box()
    assert button is not None
    assert button["y"] + button["height"] <= 390, "Stop is in sight"


@pytest.mark.parametrize("size", [(844, 390), (1280, 800)], ids=lambda size: f"{size[0]}x{size[1]}")
async def test_a_clip_and_its_controls_are_in_sight_together(
    page: Page, address: str, size: tuple[int, int]
) -> None:
    await page.set_viewport_size({"width": size[0], "height": size[1]})
    await _start(page, address + "?source=sample&zone=0,0,1,1")
    await expect(page.locator("#crossings")).not_to_be_empty()
    picture = await page.locator("#picture").bounding_box()
    assert picture is not None
    for control in ("#film-play", "#film-time", "#findings button", "#start-stop"):
        box = await page.locator(control).bounding_box()
        assert box is not None, control
        assert box["y"] + box["height"] <= size[1], control
        is_beside = box["x"] >= picture["x"] + picture["width"]
        assert is_beside or box["y"] >= picture["y"] + picture["height"], control


async def test_stop_is_in_sight_however_much_was_found(page: Page, address: str) -> None:
    await page.set_viewport_size({"width": 1280, "height": 800})
    await _start(page, address)
    await page.locator("#findings").evaluate(
        "list => list.append(...Array.from({ length: 40 }, () => list.firstElementChild.cloneNode(true)))"
    )
    box = await page.locator("#start-stop").bounding_box()
    assert box is not None
    assert box["y"] + box["height"] <= 800
    await page.get_by_role("button", name="Stop", exact=True).click()
    await expect(page.locator("#state")).to_have_text("Ready")


async def test_full_screen_has_the_picture_and_what_it_is_worked_with(page: Page, address: str) -> None:
    await _start(page, address + "?source=sample")
    await page.get_by_role("button", name="Full screen").click()
    await page.wait_for_function("() => document.fullscreenElement !== null")
    await page.wait_for_timeout(500)  # its way there is animated
    window = await page.evaluate("() => [innerWidth, innerHeight]")
    for control in ("#picture", "#film-play", "#start-stop", "#source", "#full-screen"):
        box = await page.locator(control).bounding_box()
        assert box is not None, control
        assert box["y"] >= 0, control
        assert box["y"] + box["height"] <= window[1], control
    picture = await page.locator("#picture").bounding_box()
    assert picture is not None
    assert picture["width"] * picture["height"] >= 0.6 * window[0] * window[1]
    await page.screenshot(path=ARTIFACTS / "full-screen.png")
    await page.get_by_role("button", name="Full screen").click()
    await page.wait_for_function("() => document.fullscreenElement === null")


@pytest.mark.parametrize(
    "size", [(844, 390), (390, 844), (360, 640)], ids=lambda size: f"{size[0]}x{size[1]}"
)
async def test_a_key_can_be_entered_in_any_window(page: Page, size: tuple[int, int]) -> None:
    await page.set_viewport_size({"width": size[0], "height": size[1]})
    async with serving(loading(RedThingDetector()), token_keys=ONE_KEY) as address:
        await page.goto(address)
        await page.get_by_role("button", name="Start", exact=True).click()
        await expect(page.locator("#cover-title")).to_have_text("Enter your access key")
        ARTIFACTS.mkdir(exist_ok=True)
        await page.screenshot(path=ARTIFACTS / f"key-{size[0]}x{size[1]}.png")
        cover = await page.locator("#cover").bounding_box()
        assert cover is not None
        for part in ("#cover-title", "#key", "#cover-button"):
            box = await page.locator(part).bounding_box()
            assert box is not None
            assert cover["y"] <= box["y"]
            assert box["y"] + box["height"] <= min(cover["y"] + cover["height"], size[1])


async def test_what_is_touched_is_as_large_as_a_finger(browser: Browser, address: str) -> None:
    context = await browser.new_context(
        viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True, permissions=["camera"]
    )
    page = await context.new_page()
    await _start(page, address)
    assert await page.evaluate(_SMALL) == []
    zooms = """() => [...document.querySelectorAll("select, input[type=password], input[type=time]")]
      .filter((field) => parseFloat(getComputedStyle(field).fontSize) < 16).map(({ id }) => id)"""
    assert await page.evaluate(zooms) == []
    await context.close()


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_controls_stand_out_from_what_they_are_on(page: Page, address: str, scheme: Scheme) -> None:
    await page.emulate_media(color_scheme=scheme)
    await page.goto(address)
    contrast: dict[str, float] = await page.evaluate(_CONTRAST)
    print(contrast)
    assert all(ratio >= 3.0 for ratio in contrast.values()), contrast


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_axe_finds_nothing(page: Page, address: str, scheme: Scheme) -> None:
    await page.emulate_media(color_scheme=scheme)
    axe = (installed(AXE) / "node_modules" / "axe-core" / "axe.min.js").read_text()
    await page.goto(address)
    await expect(page.locator("#start-stop")).to_be_enabled()
    await page.evaluate(axe)
    await page.locator("details").evaluate("details => { details.open = true }")
    assert await _violations(page) == [], "idle"
    await page.get_by_role("button", name="Start", exact=True).click()
    await expect(page.locator("#state")).to_have_text("Live")
    assert await _violations(page) == [], "live"
    engine = page.frame(url="**/engine.html")
    assert engine is not None
    await engine.wait_for_function("() => document.querySelector('#video').srcObject !== null")
    await engine.evaluate(
        "document.querySelector('#video').srcObject.getVideoTracks()[0].dispatchEvent(new Event('ended'))"
    )
    await expect(page.locator("#cover-title")).to_have_text("The picture has ended")
    assert await _violations(page) == [], "failed"


async def _violations(page: Page) -> list[str]:
    found: dict[str, Any] = await page.evaluate(
        """() => axe.run(document, { iframes: false,
          runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] })"""
    )
    return [f"{each['id']}: {[node['target'] for node in each['nodes']]}" for each in found["violations"]]
