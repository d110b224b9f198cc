"""A server that asks for a token, and a page without a service that gives them: the user has one, or not."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import jwt
import pytest
import pytest_asyncio

from tests.web.browser import Page, expect
from tests.web.server import RedThingDetector, loading, serving, token_keys

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEY = "a key of more than 32 bytes, say 36"


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def address() -> AsyncIterator[str]:
    async with serving(loading(RedThingDetector()), token_keys=token_keys({"k1": KEY})) as url:
        yield url


def _token(life_s: int) -> str:
    claims = {"aud": "mediaserver", "sub": "ada", "exp": int(time.time()) + life_s}
    return jwt.encode(claims, KEY, algorithm="HS256", headers={"kid": "k1"})


async def test_a_key_is_asked_for_and_why_until_one_is_good(page: Page, address: str) -> None:
    title = page.locator("#cover-title")
    await page.goto(address)
    await page.get_by_role("button", name="Start", exact=True).click()
    await expect(title).to_have_text("Enter your access key")
    await expect(page.locator("#state")).to_have_text("Access key needed")
    await expect(page.get_by_label("Access key")).to_be_focused()
    await page.get_by_label("Access key").fill(_token(-60))
    await page.get_by_role("button", name="Connect").click()
    await expect(title).to_have_text("The server asks for a valid access key")
    await expect(page.locator("#cover-advice")).to_contain_text("The token has expired.")
    await expect(page.get_by_label("Access key")).to_have_value("")
    await page.get_by_label("Access key").fill(_token(60))
    await page.get_by_role("button", name="Try again").click()
    await expect(page.locator("#state")).to_have_text("Live")


async def test_a_good_key_is_kept_for_the_tab(page: Page, address: str) -> None:
    await page.goto(address)
    await page.get_by_role("button", name="Start", exact=True).click()
    await page.get_by_label("Access key").fill(_token(60))
    await page.keyboard.press("Enter")
    await expect(page.locator("#state")).to_have_text("Live")
    await page.reload()
    await page.get_by_role("button", name="Start", exact=True).click()
    await expect(page.locator("#state")).to_have_text("Live")
