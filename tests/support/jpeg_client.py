"""A small client of the JPEG fallback: many of them fit into one test."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import ClientWebSocketResponse, WSMsgType

from tests.support.live_server import raw_socket
from tests.support.server_address import ServerAddress


class JpegClient:
    """Sends one picture over and over and keeps what comes back."""

    def __init__(self, socket: ClientWebSocketResponse, jpeg: bytes, interval_s: float) -> None:
        self.results: list[dict[str, Any]] = []
        self.states: list[str] = []
        """What the server's state became, each time that it changed."""
        self.degraded: list[list[str]] = []
        """What had given way, each time that something was told."""
        self.closing: list[dict[str, Any]] = []
        """The server's last word."""
        self.closed = False
        self._socket = socket
        self._jpeg = jpeg
        self._interval_s = interval_s

    @property
    def detecting(self) -> bool:
        """Whether the last result has what the detector found."""
        return bool(self.results) and self.results[-1]["detections"] is not None

    async def send(self) -> None:
        """A frame each interval, until cancelled."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            await self._socket.send_bytes(self._jpeg)
            due = max(due + self._interval_s, loop.time())
            await asyncio.sleep(due - loop.time())

    async def receive(self) -> None:
        """Until the server closes the socket."""
        async for message in self._socket:
            if message.type is not WSMsgType.TEXT:
                continue
            content = message.json()
            if content["type"] == "result":
                self.results.append(content)
            elif content["type"] == "closing":
                self.closing.append(content)
            elif content["type"] == "event" and content["event"] == "state":
                self.degraded.append(content.get("degraded", []))
                if content["state"] != (self.states[-1] if self.states else "ready"):
                    self.states.append(content["state"])
        self.closed = True


@contextlib.asynccontextmanager
async def jpeg_client(
    server: ServerAddress, jpeg: bytes, *, interval_s: float = 0.1, **pipeline: object
) -> AsyncIterator[JpegClient]:
    """A session that sends ``jpeg`` from its start to its end."""
    async with raw_socket(server) as socket:
        hello = {"type": "hello", "channel": "websocket", "pipeline": pipeline}
        await socket.send_str(json.dumps(hello))
        await socket.receive_json(timeout=10)
        client = JpegClient(socket, jpeg, interval_s)
        tasks = [asyncio.create_task(work) for work in (client.send(), client.receive())]
        try:
            yield client
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
