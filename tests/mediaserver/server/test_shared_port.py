"""Two workers' parts of one port, in one process here: they know each other by the scoreboard alone."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator

import pytest

from mediaserver.child_process import free_ports
from mediaserver.server import scoreboard
from mediaserver.server.scoreboard import Row, Scoreboard
from mediaserver.server.shared_port import Passages, SharedPort, passages


class Names(asyncio.Protocol):
    """Says which worker it is of."""

    def __init__(self, row: Row) -> None:
        self._row = row

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(str(self._row.worker).encode())

    def connection_lost(self, exc: Exception | None) -> None:
        self._row.end_connection()


@pytest.fixture
def board() -> Iterator[Scoreboard]:
    with scoreboard.shared(2, 4) as board:
        for row in board.rows:
            row.clear()
            row.ready = True
        yield board


@contextlib.asynccontextmanager
async def listening(row: Row, ways: Passages, port: int) -> AsyncIterator[None]:
    shared = SharedPort(row, ways, lambda: Names(row))
    await shared.listen("127.0.0.1", port)
    try:
        yield
    finally:
        shared.close()


async def visit(port: int) -> tuple[int, asyncio.StreamWriter]:
    """Which worker answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    return int(await reader.readexactly(1)), writer


async def leave(writer: asyncio.StreamWriter) -> None:
    writer.close()
    await writer.wait_closed()
    await asyncio.sleep(0.05)


@pytest.fixture
def port() -> int:
    [port] = free_ports(1)
    return port


async def test_each_has_as_many_as_the_other(board: Scoreboard, port: int) -> None:
    with passages(2) as ways:
        async with listening(board.rows[0], ways, port), listening(board.rows[1], ways, port):
            visits = [await visit(port) for _ in range(8)]
            assert [worker for worker, _ in visits].count(0) == 4
            for worker, writer in visits:
                if worker == 1:
                    await leave(writer)
            after = [await visit(port) for _ in range(4)]
            assert [worker for worker, _ in after] == [1] * 4
            for _, writer in visits + after:
                await leave(writer)


@pytest.mark.parametrize("away", ["not ready", "silent"])
async def test_who_is_not_there_gets_nothing(board: Scoreboard, port: int, away: str) -> None:
    if away == "not ready":
        board.rows[1].ready = False
    else:
        await asyncio.sleep(1.1)
        board.rows[0].beat()
    with passages(2) as ways:
        async with listening(board.rows[0], ways, port):
            visits = [await visit(port) for _ in range(4)]
            assert [worker for worker, _ in visits] == [0] * 4
            for _, writer in visits:
                await leave(writer)


async def test_what_cannot_be_passed_on_is_kept(board: Scoreboard, port: int) -> None:
    """The other one takes nothing out: what fits into the way to it waits, all else is served."""
    with passages(2) as ways:
        async with listening(board.rows[0], ways, port):
            sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(64)]
            for each in sockets:
                each.settimeout(0.05)
            await asyncio.sleep(0.3)
            answered = 0
            for each in sockets:
                with contextlib.suppress(TimeoutError):
                    answered += each.recv(1) == b"0"
            assert answered > len(sockets) / 4
            # The next worker in its place finds what waits.
            async with listening(board.rows[1], ways, port):
                await asyncio.sleep(0.3)
                for each in sockets:
                    with contextlib.suppress(TimeoutError):
                        answered += each.recv(1) == b"1"
            assert answered == len(sockets)
            for each in sockets:
                each.close()
            await asyncio.sleep(0.1)


async def test_a_port_that_is_taken_is_an_error_and_leaves_nothing(board: Scoreboard, port: int) -> None:
    with socket.create_server(("127.0.0.1", port)), passages(2) as ways:
        with pytest.raises(OSError, match="in use"):
            async with listening(board.rows[0], ways, port):
                pass
