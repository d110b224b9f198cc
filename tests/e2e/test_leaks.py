"""Clients of every kind come and go, and nothing of them stays behind.

About 150 in the suite; ``make soak`` lets 2,000 come.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import os
import re
import threading
import weakref
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from aiohttp import ClientWebSocketResponse
from aiortc import RTCPeerConnection, RTCSessionDescription
from yarl import URL

from mediaserver.session.connection import Connection
from mediaserver.session.session import Session
from mediaserver.settings.types import NetworkInterface
from mediaserver.webrtc.peer import Peer
from mediaserver.webrtc.receiver import VideoReceiver
from tests.support.live_server import LiveServer, live_server, raw_socket
from tests.support.offers import offering
from tests.support.peer_pair import BarcodeCamera
from tests.support.waiting import eventually
from tests.support.webrtc_client import WebrtcClient, webrtc_client

CLIENTS = int(os.environ.get("SOAK_CLIENTS", "144"))
AT_ONCE = 24
RESUME_WINDOW_S = 0.5
HELD = (Connection, Session, Peer, VideoReceiver, RTCPeerConnection)
"""Each client has some of these, and they hold all else."""
UPGRADE = (
    "GET /ws/inference HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


async def hear(socket: ClientWebSocketResponse, kind: str) -> dict[str, Any]:
    """The next message of that type. A server that is busy also sends ``rate``."""
    async with asyncio.timeout(20):
        while (message := await socket.receive_json())["type"] != kind:
            assert message["type"] in ("rate", "result"), message
    return dict(message)


async def say(socket: ClientWebSocketResponse, *, answered_by: str, **message: Any) -> dict[str, Any]:
    """Sends a message and returns the answer."""
    await socket.send_json(message)
    return await hear(socket, answered_by)


@contextlib.asynccontextmanager
async def greeted(live: LiveServer, **hello: str) -> AsyncIterator[ClientWebSocketResponse]:
    async with raw_socket(live) as socket:
        await say(socket, type="hello", channel="websocket", answered_by="welcome", **hello)
        yield socket


def abort(socket: ClientWebSocketResponse) -> None:
    """As when a network is gone: no closing handshake."""
    assert socket._response.connection is not None
    transport = socket._response.connection.transport
    assert transport is not None
    transport.abort()


# --- clients ------------------------------------------------------------------------------------------


async def goes_before_hello(live: LiveServer, jpeg: bytes) -> None:
    async with raw_socket(live):
        pass


async def goes_after_hello(live: LiveServer, jpeg: bytes) -> None:
    async with greeted(live):
        pass


async def says_goodbye(live: LiveServer, jpeg: bytes) -> None:
    async with greeted(live) as socket:
        await say(socket, type="bye", answered_by="closing")


async def sends_pictures(live: LiveServer, jpeg: bytes) -> None:
    async with greeted(live) as socket:
        for _ in range(3):
            await socket.send_bytes(jpeg)
            await hear(socket, "result")


async def sends_nonsense(live: LiveServer, jpeg: bytes) -> None:
    async with greeted(live) as socket:
        await socket.send_bytes(jpeg[:100])
        for text in ("{", '{"type":"dance"}', '{"type":"configure","pipeline":{"detect":7}}'):
            await socket.send_str(text)
        for _ in range(4):
            await hear(socket, "error")


async def offers_nonsense(live: LiveServer, jpeg: bytes) -> None:
    async with offering() as peer, greeted(live) as socket:
        sdp = peer.localDescription.sdp
        for bad in ("v=0", sdp.replace("a=setup:actpass", "a=setup:x"), sdp.replace("/90000", "/8000")):
            await say(socket, type="offer", sdp=bad, answered_by="error")


async def goes_while_connecting(live: LiveServer, jpeg: bytes) -> None:
    async with offering() as peer, greeted(live) as socket:
        answer = await say(socket, type="offer", sdp=peer.localDescription.sdp, answered_by="answer")
        await peer.setRemoteDescription(RTCSessionDescription(answer["sdp"], "answer"))


async def goes_before_the_answer(live: LiveServer, jpeg: bytes) -> None:
    async with offering() as peer, greeted(live) as socket:
        await socket.send_json({"type": "offer", "sdp": peer.localDescription.sdp})


async def offers_again_then_sends_video(live: LiveServer, jpeg: bytes) -> None:
    async with greeted(live) as socket, offering() as first, offering() as second:
        await say(socket, type="offer", sdp=first.localDescription.sdp, answered_by="answer")
        answer = await say(socket, type="offer", sdp=second.localDescription.sdp, answered_by="answer")
        await second.setRemoteDescription(RTCSessionDescription(answer["sdp"], "answer"))
        await hear(socket, "result")


async def comes_back(live: LiveServer, jpeg: bytes) -> None:
    async with raw_socket(live) as lost:
        welcome = await say(lost, type="hello", channel="websocket", answered_by="welcome")
        abort(lost)
    async with raw_socket(live) as socket:
        token = welcome["resume_token"]
        await say(socket, type="hello", channel="websocket", resume=token, answered_by="welcome")


async def is_cut_off_with_media(live: LiveServer, jpeg: bytes) -> None:
    async with greeted(live) as socket, offering() as peer:
        answer = await say(socket, type="offer", sdp=peer.localDescription.sdp, answered_by="answer")
        await peer.setRemoteDescription(RTCSessionDescription(answer["sdp"], "answer"))
        await hear(socket, "result")
        abort(socket)


async def asks_for_half_a_socket(live: LiveServer, jpeg: bytes) -> None:
    url = URL(live.http_url)
    for request in (UPGRADE[:60], UPGRADE, UPGRADE + "\x82\xfe"):
        _, writer = await asyncio.open_connection(url.host, url.port)
        writer.write(request.encode("latin-1"))
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.transport.abort()


KINDS: tuple[Callable[[LiveServer, bytes], Awaitable[None]], ...] = (
    goes_before_hello,
    goes_after_hello,
    says_goodbye,
    sends_pictures,
    sends_nonsense,
    offers_nonsense,
    goes_while_connecting,
    goes_before_the_answer,
    offers_again_then_sends_video,
    comes_back,
    is_cut_off_with_media,
    asks_for_half_a_socket,
)

# --- what is left -------------------------------------------------------------------------------------


def descriptors() -> Counter[str]:
    """The descriptors of this process by what they are: ``socket``, ``pipe``, a path."""
    kinds: Counter[str] = Counter()
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the one that lists them
            kinds[os.readlink(link).partition(":")[0]] += 1
    return kinds


def threads() -> Counter[str]:
    """Without those of asyncio's default executor, on which the clients here encode."""
    names = (thread.name for thread in threading.enumerate())
    return Counter(name for name in names if not name.startswith("asyncio_"))


def tasks() -> Counter[str]:
    return Counter(getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks())


def held() -> Counter[str]:
    gc.collect()
    return Counter(type(thing).__name__ for thing in gc.get_objects() if type(thing) in HELD)


def metric_labels(live: LiveServer) -> set[tuple[str, ...]]:
    return {
        (sample.name, *sample.labels.values())
        for metric in live.server.metrics.registry.collect()
        for sample in metric.samples
        if "le" not in sample.labels
    }


COUNTED: dict[Callable[[], Counter[str]], int] = {
    descriptors: 0,
    threads: 4,  # pools fill when they are needed
    tasks: 0,
}
"""What is counted before and after, and how many more there may be."""


async def come_and_go(live: LiveServer, jpeg: bytes, count: int) -> None:
    """``count`` clients, kind by kind, some at once; returns when their sessions are forgotten."""
    for first in range(0, count, AT_ONCE):
        async with asyncio.TaskGroup() as group:
            for number in range(first, min(first + AT_ONCE, count)):
                group.create_task(KINDS[number % len(KINDS)](live, jpeg))
    await eventually(lambda: live.metric("connections_open") == 0, 20)
    await eventually(lambda: len(live.server._registry) == 0, 20)


async def test_of_clients_that_come_and_go_nothing_stays(tiny_models: Path, jpeg: bytes) -> None:
    memory = psutil.Process().memory_info
    server = live_server(
        tiny_models,
        max_sessions=2 * AT_ONCE,
        resume_window_s=RESUME_WINDOW_S,
        ice_interfaces=(NetworkInterface("127.0.0.1"),),
    )
    async with server as live:
        # Whatever is made once is made now: allocators' pools, caches, labels of metrics.
        await come_and_go(live, jpeg, CLIENTS // 3)
        before = [(count, count(), allowed) for count, allowed in COUNTED.items()]
        labels, sizes = metric_labels(live), [memory().rss]
        for _ in range(2):
            await come_and_go(live, jpeg, CLIENTS // 3)
            sizes.append(memory().rss)
        for count, counted, allowed in before:
            with contextlib.suppress(AssertionError):
                await eventually(lambda: (count() - counted).total() <= allowed, 10)  # noqa: B023
            more = count() - counted
            assert more.total() <= allowed
        await eventually(lambda: not held(), 10)
        assert live.metric("sessions_live") == live.metric("frames_in_flight") == 0
        # A reason that is rare may be new; a label for each client would be as many as these.
        assert len(metric_labels(live) - labels) < 10
        # What leaks, leaks each time; an allocator that takes another pool does so once.
        growth = min(later - earlier for earlier, later in itertools.pairwise(sizes))
        print(f"{CLIENTS} clients; MiB after each third: {[size >> 20 for size in sizes]}")
        assert growth < 60 * 2**20
        assert live.ended("internal_error") == live.metric("receive_faults_total") == 0
    await eventually(lambda: len(asyncio.all_tasks()) == 1)


def parts_of_peer(live: LiveServer) -> list[object]:
    """Of the one that there is, the server's end."""
    (connection,) = live.server._connections
    assert connection._service is not None
    peer = connection._service.media._peer
    assert peer is not None
    aiortc_peer = peer._connection
    assert aiortc_peer.sctp is not None
    dtls = aiortc_peer.sctp.transport
    return [peer, peer.receiver, aiortc_peer, aiortc_peer.sctp, dtls, dtls.transport]


async def says_bye(live: LiveServer, client: WebrtcClient) -> None:
    await client.socket.send_json({"type": "bye"})


async def is_cut_off(live: LiveServer, client: WebrtcClient) -> None:
    """And does not come back in time."""
    client.cut()
    abort(client.socket)


async def falls_silent(live: LiveServer, client: WebrtcClient) -> None:
    """Its socket works on; the peer connection is kept for who might come back to it."""
    client.cut()
    await eventually(lambda: live.ended("media_timeout") == 1)


async def is_cut_off_while_media_goes_on(live: LiveServer, client: WebrtcClient) -> None:
    """It is served without its socket, until its media ends, too."""
    abort(client.socket)
    await eventually(lambda: live.ended("client_gone") == 1)
    await asyncio.sleep(0.5)
    client.cut()


async def offers_again(live: LiveServer, client: WebrtcClient) -> None:
    async with offering() as peer:
        await client.socket.send_json({"type": "offer", "sdp": peer.localDescription.sdp})
        await eventually(lambda: [each for each in client.messages if each["type"] == "answer"])
        await client.socket.send_json({"type": "bye"})
        await eventually(lambda: live.metric("connections_open") == 0)


async def sees_the_server_end(live: LiveServer, client: WebrtcClient) -> None:
    await live.server.drain()


@contextlib.contextmanager
def collecting_nothing() -> Iterator[list[weakref.ref[object]]]:
    """What the list refers to must be gone in the end."""
    parts: list[weakref.ref[object]] = []
    gc.collect()
    gc.disable()
    try:
        yield parts
    finally:
        gc.enable()


SHORT = {"liveness_timeout_s": 1.0, "no_media_timeout_s": 1.5, "resume_window_s": 0.5}


@pytest.mark.parametrize(
    "end",
    [
        *(says_bye, is_cut_off, is_cut_off_while_media_goes_on),
        *(falls_silent, offers_again, sees_the_server_end),
    ],
)
async def test_closed_peer_connections_do_not_wait_for_the_collector(
    tiny_models: Path, end: Callable[[LiveServer, WebrtcClient], Awaitable[None]]
) -> None:
    """Each has sockets, keys, decoders and threads, and pictures in them."""
    server = live_server(tiny_models, ice_interfaces=(NetworkInterface("127.0.0.1"),), **SHORT)
    async with server as live, webrtc_client(live) as client:
        with collecting_nothing() as parts:
            client.sender.replaceTrack(BarcodeCamera(15))
            await eventually(lambda: live.metric("frames_inferred_total") > 3)
            parts.extend(map(weakref.ref, parts_of_peer(live)))
            await end(live, client)
            await eventually(lambda: live.metric("connections_open") == 0)
            await eventually(lambda: not [part for part in parts if part() is not None])


def without_candidates(sdp: str) -> str:
    return "".join(line for line in sdp.splitlines(True) if not line.startswith("a=candidate"))


def led_nowhere(sdp: str) -> str:
    """Every candidate is one that nobody answers at."""
    return re.sub(r"(a=candidate:\S+ \d+ \S+ \d+) \S+ \d+", r"\1 192.0.2.1 9", sdp)


@pytest.mark.parametrize("lead", [without_candidates, led_nowhere])
async def test_nor_do_those_that_found_no_path(tiny_models: Path, lead: Callable[[str], str]) -> None:
    async with live_server(tiny_models, **SHORT) as live, greeted(live) as socket, offering() as peer:
        with collecting_nothing() as parts:
            await say(socket, type="offer", sdp=lead(peer.localDescription.sdp), answered_by="answer")
            parts.extend(map(weakref.ref, parts_of_peer(live)))
            await socket.send_json({"type": "candidate", "candidate": None})
            assert [message async for message in socket][-1].json()["reason"] == "no_media"
            await eventually(lambda: not [part for part in parts if part() is not None])
