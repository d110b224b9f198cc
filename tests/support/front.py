"""What stands before several servers: a connection goes to the one that its request names, else to the first
that takes it. A few lines, in place of nginx and Envoy, which have tests of their own."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Mapping

from tests.support.server_address import ServerAddress
from tests.support.tcp_relay import carry


class Front(ServerAddress):
    """``nodes`` are the servers' ports by name; a test may change them."""

    def __init__(self, nodes: Mapping[str, int]) -> None:
        self.nodes = dict(nodes)
        self.asked: list[str | None] = []
        """The node that each connection asked for."""
        self.http_url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, to its end."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError), contextlib.closing(writer):
            head = await reader.readuntil(b"\r\n\r\n")
            wanted = re.match(rb"GET \S*[?&]node=([^& ]+)", head)
            name = wanted[1].decode() if wanted else None
            self.asked.append(name)
            for port in sorted(self.nodes.values(), key=lambda port: port != self.nodes.get(name or "")):
                taken = await _open(port, head)
                if taken is not None:
                    answer, node_reader, node_writer = taken
                    writer.write(answer)
                    with contextlib.closing(node_writer):
                        await carry((reader, node_writer), (node_reader, writer))
                    return
            writer.write(b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n")


async def _open(port: int, head: bytes) -> tuple[bytes, asyncio.StreamReader, asyncio.StreamWriter] | None:
    """The head of the node's answer and the way to it, unless it is away or says 503."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head)
        answer = await reader.readuntil(b"\r\n\r\n")
    except (OSError, asyncio.IncompleteReadError):
        return None
    if answer.startswith(b"HTTP/1.1 503"):
        writer.close()
        return None
    return answer, reader, writer


@contextlib.asynccontextmanager
async def front(**nodes: int) -> AsyncIterator[Front]:
    """Listens on a free port of this machine."""
    made = Front(nodes)
    connections: set[asyncio.Task[None]] = set()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(made.serve(reader, writer))
        connections.add(task)
        task.add_done_callback(connections.discard)

    server = await asyncio.start_server(begin, "127.0.0.1", 0)
    made.http_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    try:
        yield made
    finally:
        server.close()
        for task in connections:
            task.cancel()
        if connections:
            await asyncio.wait(list(connections))
