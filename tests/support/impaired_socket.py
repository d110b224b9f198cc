"""A WebSocket proxy that leads the media of whoever connects to it through an `ImpairmentRelay`."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable

import aiohttp
from aiohttp import web

from tests.support.impairment import ImpairmentRelay


@contextlib.asynccontextmanager
async def through(relay: ImpairmentRelay, server_url: str) -> AsyncIterator[str]:
    """Yields the address to connect to instead of ``server_url``; for one client after the other."""

    async def proxy(request: web.Request) -> web.WebSocketResponse:
        client = web.WebSocketResponse(max_msg_size=2**21)
        await client.prepare(request)
        async with aiohttp.ClientSession() as http, http.ws_connect(server_url) as server:
            up = asyncio.create_task(_pump(client, server, relay.sdp_to_server))
            down = asyncio.create_task(_pump(server, client, relay.sdp_to_client))
            try:
                await asyncio.wait([up, down], return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (up, down):
                    task.cancel()
                await asyncio.wait([up, down])
                await client.close()
        return client

    app = web.Application()
    app.router.add_get("/ws/inference", proxy)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield f"ws://{host}:{port}/ws/inference"
    finally:
        await runner.cleanup()


async def _pump(
    source: web.WebSocketResponse | aiohttp.ClientWebSocketResponse,
    target: web.WebSocketResponse | aiohttp.ClientWebSocketResponse,
    lead: Callable[[str], str],
) -> None:
    """Passes messages on; SDP, in which the Python client's candidates are too, is led through the relay."""
    async for message in source:
        if message.type is aiohttp.WSMsgType.BINARY:
            await target.send_bytes(message.data)
            continue
        content = json.loads(message.data)
        if content["type"] in ("offer", "answer"):
            content["sdp"] = lead(content["sdp"])
        await target.send_str(json.dumps(content))
