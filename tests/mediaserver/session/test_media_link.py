from __future__ import annotations

import time
from pathlib import Path

import av
import numpy as np
import pytest

from mediaserver.session.media_link import MediaLink
from mediaserver.webrtc.frame_drops import DropReason
from mediaserver.webrtc.receiver import ReceivedFrame
from signaling.messages import EndReason
from tests.support.live_server import LiveServer, live_server, raw_socket
from tests.support.waiting import eventually


def frame() -> ReceivedFrame:
    picture = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
    now = time.monotonic()
    return ReceivedFrame(picture, 0, 0.0, None, arrived=now, decoded=now)


def link_of(live: LiveServer) -> MediaLink:
    (connection,) = live.server._connections
    assert connection._service is not None
    return connection._service.media


async def test_a_peer_that_goes_on_while_its_connection_ends_is_not_heard(tiny_models: Path) -> None:
    async with live_server(tiny_models) as live, raw_socket(live) as socket:
        await socket.send_str('{"type":"hello"}')
        await socket.receive_json(timeout=5)
        media = link_of(live)
        media._take_frame(frame())
        media.frames_dropped(DropReason.CORRUPT, 2)
        (connection,) = live.server._connections
        connection.end(EndReason.REPLACED)
        media._take_frame(frame())
        media.frames_dropped(DropReason.CORRUPT, 3)
        await eventually(lambda: live.ended(EndReason.REPLACED))
        assert live.metric("frames_received_total", source="track") == 1
        assert live.metric("frames_dropped_total", stage="receive", reason="corrupt") == 2


async def test_what_happens_on_the_way_is_in_the_metrics(tiny_models: Path) -> None:
    async with live_server(tiny_models) as live, raw_socket(live) as socket:
        await socket.send_str('{"type":"hello"}')
        await socket.receive_json(timeout=5)
        media = link_of(live)
        media.packets_requested(3)
        media.keyframe_requested()
        media.fault_contained()
        names = ("packets_requested_total", "keyframes_requested_total", "receive_faults_total")
        assert [live.metric(name) for name in names] == [3, 1, 1]


async def test_a_failed_path_is_told_each_time(tiny_models: Path) -> None:
    async with live_server(tiny_models) as live, raw_socket(live) as socket:
        await socket.send_str('{"type":"hello"}')
        await socket.receive_json(timeout=5)
        for _ in range(2):
            link_of(live).failed.set()
            told = await socket.receive_json(timeout=5)
            assert told == {"type": "event", "event": "state", "state": "media_failed"}


@pytest.mark.parametrize("sdp", ["v=0", "not SDP"])
async def test_an_offer_that_is_refused_leaves_no_peer(tiny_models: Path, sdp: str) -> None:
    async with live_server(tiny_models) as live, raw_socket(live) as socket:
        await socket.send_json({"type": "hello"})
        await socket.receive_json(timeout=5)
        await socket.send_json({"type": "offer", "sdp": sdp})
        assert (await socket.receive_json(timeout=5))["type"] == "error"
        assert link_of(live)._peer is None
