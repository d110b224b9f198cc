"""Clients come and go a hundred times, in every stage of the conversation, and nothing stays behind."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import threading
from pathlib import Path

import psutil
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription, VideoStreamTrack

from mediaserver.webrtc.peer_close import close_peer_connection
from tests.support.live_server import LiveServer, live_server, raw_socket
from tests.support.waiting import eventually

HELLO = '{"type":"hello","channel":"websocket"}'


async def come_and_go(live: LiveServer, stage: int) -> None:
    """0: after the upgrade; 1: after hello; 2: offer unanswered; 3: while connecting; 4: with media."""
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    try:
        async with raw_socket(live) as socket:
            if stage == 0:
                return
            await socket.send_str(HELLO)
            await socket.receive_json(timeout=10)
            if stage == 1:
                return
            peer.addTransceiver(VideoStreamTrack(), direction="sendonly")
            await peer.setLocalDescription(await peer.createOffer())
            await socket.send_str(json.dumps({"type": "offer", "sdp": peer.localDescription.sdp}))
            if stage == 2:
                return
            answer = await socket.receive_json(timeout=10)
            await peer.setRemoteDescription(RTCSessionDescription(answer["sdp"], "answer"))
            if stage == 4:
                assert (await socket.receive_json(timeout=10))["type"] == "result"
    finally:
        await close_peer_connection(peer)


def threads_of_the_server() -> list[str]:
    """Without those of asyncio's default executor, on which the test's own senders encode."""
    return sorted(thread.name for thread in threading.enumerate() if not thread.name.startswith("asyncio_"))


async def a_hundred_come_and_go(live: LiveServer) -> None:
    for _ in range(4):
        async with asyncio.TaskGroup() as group:
            for number in range(25):
                group.create_task(come_and_go(live, number % 5))
        await eventually(lambda: live.metric("connections_open") == 0, 20)


async def test_a_hundred_connects_leave_nothing_behind(tiny_models: Path) -> None:
    process = psutil.Process(os.getpid())
    async with live_server(tiny_models, max_sessions=100) as live:
        await a_hundred_come_and_go(live)  # whatever is made once, allocators' pools too, is made now
        descriptors, threads = process.num_fds(), threads_of_the_server()
        memory = [process.memory_info().rss]
        for _ in range(2):
            await a_hundred_come_and_go(live)
            memory.append(process.memory_info().rss)
        await eventually(lambda: process.num_fds() <= descriptors, 10)
        await eventually(lambda: threads_of_the_server() == threads, 10)
        # What leaks, leaks each time; an allocator that takes another pool does so once.
        assert min(later - earlier for earlier, later in itertools.pairwise(memory)) < 30 * 2**20
        assert live.ended("internal_error") == 0
    await eventually(lambda: len(asyncio.all_tasks()) == 1)
