"""TCP through this process, which a test can cut."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TypeAlias

Way: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def carry(*ways: Way) -> None:
    """Carries what is read on each way to its writer, until one side has said all."""

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()

    tasks = [asyncio.create_task(one(*way)) for way in ways]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


@dataclass
class TcpRelay:
    """Listens at ``port`` of 127.0.0.1."""

    port: int
    server: asyncio.Server
    connections: set[asyncio.Task[None]] = field(default_factory=set)

    async def cut(self) -> None:
        """Listens no more and ends all connections."""
        self.server.close()
        for connection in self.connections:
            connection.cancel()
        if self.connections:
            await asyncio.wait(list(self.connections))


@contextlib.asynccontextmanager
async def tcp_relay(port: int) -> AsyncIterator[TcpRelay]:
    """To ``port`` of 127.0.0.1."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
            with contextlib.closing(far_writer):
                await carry((reader, far_writer), (far_reader, writer))

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(serve(reader, writer))
        relay.connections.add(task)
        task.add_done_callback(relay.connections.discard)

    server = await asyncio.start_server(begin, "127.0.0.1", 0)
    relay = TcpRelay(server.sockets[0].getsockname()[1], server)
    try:
        yield relay
    finally:
        await relay.cut()
