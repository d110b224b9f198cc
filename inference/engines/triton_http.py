"""HTTP/1.1 client for a Triton on this machine that reads frames from shared memory.

Requests and answers are small, and HTTP takes a fraction of gRPC's processor time for them. The protocol is
KServe's v2 with Triton's extensions for binary tensor data and system shared memory.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Sequence
from typing import Annotated, TypeAlias, cast

import msgspec
import numpy as np

from inference.engines.contract import DeadlineMissed, Head, ModelFailed
from inference.engines.frame_memory import FrameMemory
from inference.engines.triton_errors import Refusal, engine_error
from inference.model_metadata import INPUT
from inference.types import Floats

_MAX_HEADERS = 16 * 1024
_MAX_BODY = 64 * 2**20
"""Bytes of one answer at most."""
_END_OF_HEADERS = b"\r\n\r\n"
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})[ \r]")
_BODY_BYTES = re.compile(rb"\r\ncontent-length: *(\d{1,10})\r", re.IGNORECASE)
_JSON_BYTES = re.compile(rb"\r\ninference-header-content-length: *(\d{1,10})\r", re.IGNORECASE)

_Size: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]


class _Parameters(msgspec.Struct):
    binary_data_size: _Size


class _Output(msgspec.Struct):
    name: str
    datatype: str
    shape: tuple[_Size, ...]
    parameters: _Parameters


class _Inferred(msgspec.Struct):
    outputs: list[_Output]


class _Refused(msgspec.Struct):
    error: str


class _Answer(msgspec.Struct):
    """A response with a body of ``size`` bytes, of which the first ``json_bytes`` are JSON."""

    status: int
    size: int
    json_bytes: int
    body: bytes = b""


class _Connection(asyncio.Protocol):
    """One connection, for one request at a time. A lost connection raises `ConnectionError`."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._begun: _Answer | None = None
        self._answer: asyncio.Future[_Answer] | None = None

    @property
    def is_open(self) -> bool:
        """Whether the connection can take another request."""
        return self._transport is not None and not self._transport.is_closing()

    async def ask(self, request: bytes) -> _Answer:
        """Sends ``request`` and returns the response. After a cancellation the caller must close."""
        if self._transport is None:
            raise ConnectionResetError("Triton closed the connection")
        self._answer = self._loop.create_future()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        """Closes at once; a request in flight fails."""
        if self._transport is not None:
            self._transport.abort()

    # --- for asyncio ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        try:
            begun = self._begun = self._begun or _taken_headers(self._received)
        except ValueError as exc:
            self._end(ConnectionError(f"Triton's answer cannot be read: {exc}"))
            return
        if begun is None or len(self._received) < begun.size:
            return
        begun.body, self._begun, self._received = bytes(self._received), None, bytearray()
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(begun)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._end(ConnectionResetError(f"the connection to Triton was lost: {exc or 'closed'}"))

    def _end(self, error: ConnectionError) -> None:
        self.close()
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)


def _taken_headers(received: bytearray) -> _Answer | None:
    """Removes the headers once they are complete; ``None`` before.

    Raises `ValueError` if this is no HTTP response of a known length, or too large.
    """
    end = received.find(_END_OF_HEADERS, 0, _MAX_HEADERS)
    if end < 0:
        if len(received) >= _MAX_HEADERS:
            raise ValueError("its headers have no end")
        return None
    head = bytes(received[: end + len(_END_OF_HEADERS)])
    del received[: len(head)]
    status, length = _STATUS.match(head), _BODY_BYTES.search(head)
    if status is None or length is None:
        raise ValueError("it is no HTTP response of a known length")
    size, marked = int(length[1]), _JSON_BYTES.search(head)
    if size > _MAX_BODY:
        raise ValueError(f"it has {size} bytes")
    return _Answer(int(status[1]), size, size if marked is None else int(marked[1]))


class HttpLost(Exception):
    """The HTTP service cannot be reached."""


class TritonHttp:
    """The HTTP service at ``host`` and ``port`` of a Triton that has ``memory`` open.

    It keeps its connections open, as many as there were requests in flight at once.
    """

    def __init__(self, host: str, port: int, memory: FrameMemory, deadline_s: float) -> None:
        self._host, self._port = host, port
        self._memory = memory
        self._deadline_s = deadline_s
        self._idle: list[_Connection] = []
        self._busy: set[_Connection] = set()
        self._closed = False

    async def knows_memory(self) -> bool:
        """Whether this service belongs to the Triton that has the memory open. Raises `HttpLost`."""
        name = self._memory.name
        answer = await self._ask(f"GET /v2/systemsharedmemory/region/{name}/status", b"")
        return answer.status == 200 and name.encode() in answer.body

    async def infer(self, model: str, shape: Sequence[int], place: int, outputs: Sequence[str]) -> Head:
        """Runs ``model`` on images in the memory and returns ``outputs``.

        The images are uint8 of ``shape``, from byte ``place`` of the memory. Raises
        `inference.engines.contract.EngineError`. A cancelled request closes its connection. Triton still runs
        it, unless its deadline passes in Triton's queue.
        """
        frames = {
            "name": INPUT,
            "shape": shape,
            "datatype": "UINT8",
            "parameters": {
                "shared_memory_region": self._memory.name,
                "shared_memory_offset": place,
                "shared_memory_byte_size": math.prod(shape),
            },
        }
        body = msgspec.json.encode(
            {
                "parameters": {"timeout": round(self._deadline_s * 1e6)},  # in µs, in Triton's queue
                "inputs": [frames],
                "outputs": [{"name": name, "parameters": {"binary_data": True}} for name in outputs],
            }
        )
        try:
            async with asyncio.timeout(self._deadline_s):
                answer = await self._ask(f"POST /v2/models/{model}/infer", body)
        except TimeoutError as exc:
            raise DeadlineMissed(f"Triton did not answer within {self._deadline_s:g} s") from exc
        return _head(answer, outputs)

    def close(self) -> None:
        """Closes all connections. Requests in flight fail with `HttpLost`."""
        self._closed = True
        for connection in (*self._idle, *self._busy):
            connection.close()
        self._idle.clear()

    async def _ask(self, line: str, body: bytes) -> _Answer:
        head = f"{line} HTTP/1.1\r\nHost: {self._host}\r\nContent-Length: {len(body)}\r\n\r\n"
        try:
            connection = await self._connection()
        except OSError as exc:
            raise HttpLost(f"Triton's HTTP service at {self._host}:{self._port}: {exc}") from exc
        if self._closed:  # while it was made
            connection.close()
            raise HttpLost("the connection to Triton's HTTP service was closed")
        self._busy.add(connection)
        try:
            answer = await connection.ask(head.encode() + body)
        except ConnectionError as exc:
            raise HttpLost(str(exc)) from exc
        except asyncio.CancelledError:
            connection.close()
            raise
        finally:
            self._busy.discard(connection)
            if connection.is_open:
                self._idle.append(connection)
        return answer

    async def _connection(self) -> _Connection:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                return connection
        _, connection = await asyncio.get_running_loop().create_connection(
            _Connection, self._host, self._port
        )
        return connection


def _head(answer: _Answer, outputs: Sequence[str]) -> Head:
    """Decodes the answer. Raises `EngineError` for a refusal, and if ``outputs`` are missing or malformed."""
    if answer.status != 200:
        try:
            words = msgspec.json.decode(answer.body, type=_Refused).error
        except msgspec.DecodeError:
            words = f"status {answer.status}"
        raise engine_error(Refusal.of_http(answer.status), words)
    found: dict[str, Floats] = {}
    place = answer.json_bytes
    try:
        told = msgspec.json.decode(answer.body[:place], type=_Inferred)
        for output in told.outputs:
            size = output.parameters.binary_data_size
            if output.datatype == "FP32":
                data = np.frombuffer(answer.body, np.float32, size // 4, place)
                found[output.name] = data.reshape(output.shape)
            place += size
        return tuple(found[name] for name in outputs)
    except (ValueError, KeyError, msgspec.MsgspecError) as exc:
        raise ModelFailed(f"Triton's answer cannot be read: {exc}") from exc
