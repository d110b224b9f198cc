"""The page in the language of whoever reads it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.web.browser import Browser, expect
from tests.web.node import run_node

pytestmark = pytest.mark.asyncio(loop_scope="module")


def _words(language: str) -> dict[str, Any]:
    script = (
        f'import {{ {language} }} from "./ui/words/{language}.js"; console.log(JSON.stringify({language}));'
    )
    words: dict[str, Any] = json.loads(run_node("--input-type=module", "--eval", script).stdout)
    return words


@pytest.mark.parametrize(
    ("locale", "query", "language"),
    [("de-AT", "", "de"), ("en-GB", "", "en"), ("fr-FR", "", "en"), ("en-US", "?lang=de", "de")],
)
async def test_all_of_the_page_is_in_one_language(
    browser: Browser, address: str, locale: str, query: str, language: str
) -> None:
    words = _words(language)
    context = await browser.new_context(locale=locale, permissions=["camera"])
    page = await context.new_page()
    await page.goto(address + query)
    await expect(page.locator("#state")).to_have_text(words["states"]["idle"])
    assert await page.evaluate("document.documentElement.lang") == language
    assert await page.title() == words["page"]["title"]
    shown = await page.locator("[data-words]").evaluate_all(
        "all => all.map((each) => [each.dataset.words, each.textContent])"
    )
    assert len(shown) > 40
    start = words["starts"]["camera"]
    assert {name: text for name, text in shown if text not in (words["page"][name], start)} == {}
    await page.locator("#cover-button").click()
    await expect(page.locator("#state")).to_have_text(words["states"]["live"])
    await expect(page.locator("#start-stop")).to_have_text(words["stop"])
    engine = page.frame_locator("iframe").locator("#overlay")
    await expect(engine).to_have_attribute("aria-label", words["engine"]["overlay"])
    await context.close()


async def test_the_page_itself_has_no_words(browser: Browser, address: str) -> None:
    """Nothing that a translation would miss; what is there without scripts is for who has none."""
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(address)
    text = await page.locator("main, dialog").evaluate_all(
        "all => all.flatMap((each) => each.textContent.split(/\\s+/)).filter((word) => /[a-z]{2}/.test(word))"
    )
    assert text == ["mediaserver", "models", "pull", "nanodet_g", "movenet_multipose"]
    await context.close()
