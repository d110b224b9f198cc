"""The page as other browsers than Chromium are asked about it."""

from __future__ import annotations

from typing import Any

from tests.support.driven_page import DrivenPage

_REPORT = """async () => {
  document.querySelector("details").open = true;
  const output = document.querySelector("#diagnostics");
  output.textContent = "";  // it is written anew each second
  while (output.textContent === "") await new Promise(requestAnimationFrame);
  return JSON.parse(output.textContent);
}"""


async def start(page: DrivenPage, source: str) -> None:
    """Starts it, once the page listens."""
    await page.evaluate(
        """async () => {
          while (document.body.dataset.started !== "true") await new Promise(requestAnimationFrame);
        }"""
    )
    await page.choose("#source", source)
    await page.click("#start-stop")


async def stop(page: DrivenPage) -> None:
    """Stops it, and waits until it has."""
    await page.click("#start-stop")
    await page.says("#state", "Ready")


async def diagnostics(page: DrivenPage) -> Any:
    """What the page has for operators, as of now."""
    return await page.evaluate(_REPORT)
