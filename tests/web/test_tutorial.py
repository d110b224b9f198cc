"""The page of ``docs/tutorial.md`` in a real browser, at an origin of its own."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mediaserver.child_process import free_ports, stop, wait_until_ready
from mediaserver.settings.types import Origin
from tests.support.code_blocks import ROOT, code_blocks
from tests.web.browser import Page
from tests.web.server import RedThingDetector, loading, serving

pytestmark = pytest.mark.asyncio(loop_scope="module")

_IS_DRAWN = """() => {
  const canvas = document.querySelector("canvas");
  const picture = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return picture.data.some((byte) => byte > 0);
}"""


async def pasted(folder: Path) -> Path:
    """The folder of the page, as the tutorial's commands make it."""
    (block,) = (
        block for block in code_blocks(ROOT / "docs" / "tutorial.md") if "my-page/index.html" in block.text
    )
    (folder / "web").symlink_to(ROOT / "web")
    process = await asyncio.create_subprocess_exec("bash", "-e", "-c", block.text, cwd=folder)
    assert await process.wait() == 0
    return folder / "my-page"


@contextlib.asynccontextmanager
async def web_server(folder: Path, port: int) -> AsyncIterator[str]:
    """As the tutorial starts it."""
    command = ("-m", "http.server", "--bind", "127.0.0.1", "--directory", str(folder), str(port))
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        await wait_until_ready(process, url := f"http://127.0.0.1:{port}/", 20)
        yield url
    finally:
        await stop(process, timeout_s=5)


async def test_your_own_page_draws_boxes_on_the_camera(page: Page, tmp_path: Path) -> None:
    folder = await pasted(tmp_path)
    [port] = free_ports(1)
    origins = (Origin(f"http://127.0.0.1:{port}"),)
    async with (
        serving(loading(RedThingDetector()), allowed_origins=origins) as address,
        web_server(folder, port) as url,
    ):
        index = folder / "index.html"
        theirs = "ws://127.0.0.1:8080/"
        assert theirs in index.read_text()
        index.write_text(index.read_text().replace(theirs, address.replace("http", "ws")))
        await page.goto(url)
        await page.get_by_role("button", name="Start").click()
        await page.wait_for_function(_IS_DRAWN, timeout=20_000)
