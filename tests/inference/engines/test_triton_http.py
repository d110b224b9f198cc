"""HTTP services that are not as Triton's; a real one answers in test_triton.py."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable

import numpy as np
import pytest

from inference.engines.contract import (
    DeadlineMissed,
    EngineError,
    EngineOverloaded,
    EngineUnavailable,
    ModelFailed,
    ModelNotLoaded,
)
from inference.engines.frame_memory import FrameMemory
from inference.engines.triton_http import HttpLost, TritonHttp
from tests.support.waiting import eventually

SHAPE = (1, 240, 320, 3)
HEAD = np.arange(6, dtype=np.float32).reshape(1, 2, 3)


def response(status: str, body: bytes, json_bytes: int | None = None) -> bytes:
    marked = "" if json_bytes is None else f"Inference-Header-Content-Length: {json_bytes}\r\n"
    return f"HTTP/1.1 {status}\r\n{marked}Content-Length: {len(body)}\r\n\r\n".encode() + body


def inferred(name: str = "head", datatype: str = "FP32", shape: tuple[int, ...] = HEAD.shape) -> bytes:
    data = HEAD.tobytes()
    output = {
        "name": name,
        "datatype": datatype,
        "shape": shape,
        "parameters": {"binary_data_size": len(data)},
    }
    told = json.dumps({"model_name": "pose", "outputs": [output]}).encode()
    return response("200 OK", told + data, len(told))


def refused(status: str, words: str) -> bytes:
    return response(status, json.dumps({"error": words}).encode())


@contextlib.asynccontextmanager
async def answering(
    *pieces: bytes, closes: bool = False, deadline_s: float = 5.0
) -> AsyncIterator[TritonHttp]:
    """A service that answers each request with ``pieces``, a moment between them."""

    serving: set[asyncio.Task[None]] = set()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(serve(reader, writer))
        serving.add(task)
        task.add_done_callback(serving.discard)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError), contextlib.closing(writer):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(int(head.split(b"Content-Length: ")[1].split()[0]))
                for number, piece in enumerate(pieces):
                    await asyncio.sleep(0.01 * number)
                    writer.write(piece)
                if closes:
                    return

    memory = FrameMemory()
    memory.unlink()
    async with await asyncio.start_server(begin, "127.0.0.1", 0) as server:
        http = TritonHttp("127.0.0.1", server.sockets[0].getsockname()[1], memory, deadline_s)
        yield http
        http.close()
        await eventually(lambda: not serving)


async def head_of(http: TritonHttp) -> object:
    return (await http.infer("pose", SHAPE, 0, ("head",)))[0]


@pytest.mark.parametrize("cut", [1, 9, 40, 120, -1])
async def test_an_answer_may_come_in_pieces(cut: int) -> None:
    whole = inferred()
    async with answering(whole[:cut], whole[cut:]) as http:
        for _ in range(2):
            np.testing.assert_array_equal(await head_of(http), HEAD)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (refused("404 Not Found", "unknown model"), ModelNotLoaded),
        (refused("503 Service Unavailable", "Exceeds maximum queue size"), EngineOverloaded),
        (refused("503 Service Unavailable", "Request timeout expired"), DeadlineMissed),
        (refused("503 Service Unavailable", "the model is unloading"), EngineUnavailable),
        (refused("500 Internal Server Error", "out of order"), ModelFailed),
        (response("500 Internal Server Error", b"<html>"), ModelFailed),
        (response("200 OK", b"{}"), ModelFailed),
        (response("200 OK", b"no JSON"), ModelFailed),
        (inferred(name="another"), ModelFailed),
        (inferred(datatype="FP16"), ModelFailed),
        (inferred(shape=(1, 5)), ModelFailed),
        (inferred(shape=(1, 2, -3)), ModelFailed),
    ],
)
async def test_refusals_and_answers_that_cannot_be_read_have_errors(
    answer: bytes, error: type[EngineError]
) -> None:
    async with answering(answer) as http:
        for _ in range(2):  # the connection is as good as before
            with pytest.raises(EngineError) as caught:
                await head_of(http)
            assert type(caught.value) is error


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999\r\n\r\n",
        b"x" * 20_000,
    ],
)
async def test_what_is_no_response_loses_the_connection(answer: bytes) -> None:
    async with answering(answer) as http:
        with pytest.raises(HttpLost, match="cannot be read"):
            await head_of(http)


async def test_a_connection_that_ends_within_an_answer_is_lost() -> None:
    async with answering(inferred()[:-1], closes=True) as http:
        with pytest.raises(HttpLost):
            await head_of(http)


async def test_a_connection_that_was_closed_between_requests_is_not_used_again() -> None:
    async with answering(inferred(), closes=True) as http:
        for _ in range(3):
            np.testing.assert_array_equal(await head_of(http), HEAD)
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("give_up", [asyncio.Task.cancel, None], ids=["cancelled", "deadline"])
async def test_who_gives_up_gets_no_answer_of_another(give_up: Callable[[object], object] | None) -> None:
    """A late answer reaches no one: the connection is closed."""
    async with answering(b"", deadline_s=0.2) as http:
        asking = asyncio.create_task(http.infer("pose", SHAPE, 0, ("head",)))
        await asyncio.sleep(0.05)
        if give_up is not None:
            give_up(asking)
        with pytest.raises((DeadlineMissed, asyncio.CancelledError)):
            await asking
        assert not http._idle


async def test_nobody_there_is_told() -> None:
    async with answering(inferred()) as http:
        pass
    with pytest.raises(HttpLost, match="HTTP service"):
        await head_of(http)


async def test_closing_ends_what_is_under_way() -> None:
    async with answering(b"") as http:
        asking = asyncio.create_task(http.infer("pose", SHAPE, 0, ("head",)))
        await asyncio.sleep(0.05)
        http.close()
        with pytest.raises(HttpLost):
            await asking


async def test_a_connection_that_is_made_while_it_closes_is_closed_too() -> None:
    async with answering(inferred()) as http:
        asking = asyncio.create_task(http.infer("pose", SHAPE, 0, ("head",)))
        await asyncio.sleep(0)
        http.close()
        with pytest.raises(HttpLost):
            await asking
        assert not http._idle
