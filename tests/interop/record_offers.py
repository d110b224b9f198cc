"""``python -m tests.interop.record_offers``: writes the offers that the browsers and the GStreamer of this
machine make into ``tests/interop/offers/``."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import tempfile
from pathlib import Path

from aiohttp import web

HERE = Path(__file__).parent
OFFERS = HERE / "offers"
BROWSERS = {
    "chromium": ("chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--user-data-dir={profile}"),
    "firefox": ("firefox-esr", "--headless", "--no-remote", "--profile", "{profile}"),
}
WEBRTCBIN = {
    "webrtcbin_vp8": ("VP8", "", "max-bundle"),
    "webrtcbin_h264": ("H264", "config-interval=-1", "max-bundle"),
    "webrtcbin_unbundled": ("H264", "", "none"),
}


def keep(name: str, sdp: str) -> None:
    """Writes an offer, without what tells of the machine that made it."""
    sdp = re.sub(r"@[\w.-]+", "@camera", sdp)
    sdp = re.sub(r"^(a=candidate:(?:\S+ ){4})(?!\S+\.local)\S+", r"\g<1>192.0.2.1", sdp, flags=re.MULTILINE)
    sdp = re.sub(r"IN IP4 (?!0\.0\.0\.0|127\.0\.0\.1)\S+", "IN IP4 192.0.2.1", sdp)
    (OFFERS / f"{name}.sdp").write_bytes(sdp.encode())
    print(f"{name}: {len(sdp)} bytes")


async def of_browser(name: str, command: tuple[str, ...]) -> None:
    """All shapes of ``record_offers.html``."""
    done = asyncio.Event()

    async def page(_: web.Request) -> web.FileResponse:
        return web.FileResponse(HERE / "record_offers.html")

    async def take(request: web.Request) -> web.Response:
        shape, body = request.match_info["shape"], await request.text()
        if not shape:
            done.set()
        elif "failed" in request.query:
            print(f"{name} {shape}: {body}")
        else:
            keep(f"{name}_{shape}", body)
        return web.Response()

    app = web.Application()
    app.add_routes([web.get("/", page), web.post("/{shape:.*}", take)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        arguments = [part.format(profile=profile) for part in command[1:]]
        browser = await asyncio.create_subprocess_exec(command[0], *arguments, f"{site.name}/")
        try:
            async with asyncio.timeout(90):
                await done.wait()
        finally:
            browser.terminate()
            await browser.wait()
            await runner.cleanup()


async def of_webrtcbin(name: str, arguments: tuple[str, ...]) -> None:
    """The first line that the sender says."""
    sender = await asyncio.create_subprocess_exec(
        *("/usr/bin/python3", str(HERE / "webrtcbin_sender.py"), *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert sender.stdin is not None
    assert sender.stdout is not None
    keep(name, json.loads(await sender.stdout.readline())["sdp"])
    sender.stdin.close()
    await sender.wait()


async def main() -> None:
    OFFERS.mkdir(exist_ok=True)
    for name, command in BROWSERS.items():
        if shutil.which(command[0]):
            await of_browser(name, command)
    for name, arguments in WEBRTCBIN.items():
        await of_webrtcbin(name, arguments)


if __name__ == "__main__":
    asyncio.run(main())
