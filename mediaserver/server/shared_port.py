"""A port shared by several workers, with an even distribution of connections.

The kernel gives each connection to any worker. A worker with more connections than another passes it on. The
kernel alone would distribute four sessions over two workers as three and one, in half of the cases.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from mediaserver.server.scoreboard import Row

_BACKLOG = 128
_AT_ONCE = 16
"""Connections that are accepted before the event loop has its turn."""

logger = logging.getLogger(__name__)


class Passages:
    """Socket pairs by which workers pass connections to each other, made before the workers are forked.

    Connections that wait for a worker that is being restarted are kept.
    """

    def __init__(self, ends: Sequence[tuple[socket.socket, socket.socket]]) -> None:
        self._ends = ends

    def exit(self, worker: int) -> socket.socket:
        """Returns the socket on which ``worker`` receives connections."""
        return self._ends[worker][0]

    def pass_on(self, connection: socket.socket, worker: int) -> bool:
        """Passes a connection to ``worker``. Returns false if too many are waiting there."""
        try:
            socket.send_fds(self._ends[worker][1], [b"c"], [connection.fileno()])
        except OSError:
            return False
        return True


@contextlib.contextmanager
def passages(workers: int) -> Iterator[Passages]:
    """Makes socket pairs for processes that are forked in the block."""
    with contextlib.ExitStack() as stack:
        ends = []
        for _ in range(workers):
            pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
            for end in pair:
                stack.enter_context(end)
                end.setblocking(False)
            ends.append(pair)
        yield Passages(ends)


class SharedPort:
    """The shared port in one worker: takes connections from the kernel and from other workers."""

    def __init__(self, row: Row, ways: Passages, connection: Callable[[], asyncio.Protocol]) -> None:
        self._row = row
        self._ways = ways
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self.sockets: list[socket.socket] = []
        self._beginning: set[asyncio.Task[None]] = set()
        self._loop.add_reader(ways.exit(row.worker), self._receive)

    async def listen(self, host: str, port: int) -> None:
        """Listens on all addresses of ``host``. Raises `OSError`, `UnicodeError`."""
        try:
            for family, kind, _, _, address in await self._loop.getaddrinfo(
                host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            ):
                self._listen(socket.socket(family, kind), address)
        except (OSError, UnicodeError):
            self.close()
            raise

    def close(self) -> None:
        """Stops accepting; open connections go on. Idempotent."""
        for listener in self.sockets:
            self._loop.remove_reader(listener)
            listener.close()
        self.sockets.clear()
        self._loop.remove_reader(self._ways.exit(self._row.worker))

    def _listen(self, listener: socket.socket, address: Any) -> None:
        self.sockets.append(listener)
        listener.setblocking(False)
        for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
            listener.setsockopt(socket.SOL_SOCKET, option, 1)
        if listener.family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
        self._loop.add_reader(listener, self._accept, listener)

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(_AT_ONCE):
            try:
                connection, _ = listener.accept()
            except BlockingIOError:
                return
            except OSError as exc:  # the client has closed, or descriptors are exhausted
                logger.debug("a connection was not accepted: %s", exc.strerror)
                return
            chosen = self._row.take_connection()
            if chosen is not self._row:
                if self._ways.pass_on(connection, chosen.worker):
                    connection.close()
                    continue
                self._row.keep_connection(chosen)
            self._begin(connection)

    def _receive(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                _, descriptors, _, _ = socket.recv_fds(self._ways.exit(self._row.worker), 1, 1)
            except BlockingIOError:
                return
            for descriptor in descriptors:
                self._begin(socket.socket(fileno=descriptor))

    def _begin(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        task = asyncio.create_task(self._connect(connection))
        self._beginning.add(task)
        task.add_done_callback(self._beginning.discard)

    async def _connect(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._connection, connection)
        except OSError as exc:
            logger.debug("a connection did not begin: %s", exc.strerror)
            connection.close()
            self._row.end_connection()
