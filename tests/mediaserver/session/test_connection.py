from __future__ import annotations

import time
from pathlib import Path

import av
import numpy as np
import pytest

from mediaserver.webrtc.receiver import ReceivedFrame
from signaling.messages import EndReason
from signaling.websocket import SignalingSocket
from tests.support.live_server import live_server, raw_socket
from tests.support.waiting import eventually


def frame() -> ReceivedFrame:
    picture = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
    now = time.monotonic()
    return ReceivedFrame(picture, 0, 0.0, None, arrived=now, decoded=now)


async def test_a_peer_that_goes_on_while_its_connection_ends_is_not_heard(tiny_models: Path) -> None:
    async with live_server(tiny_models) as live, raw_socket(live) as socket:
        await socket.send_str('{"type":"hello"}')
        await socket.receive_json(timeout=5)
        (connection,) = live.server._connections
        connection._take_track_frame(frame())
        assert live.metric("frames_received_total", source="track") == 1
        connection.end(EndReason.REPLACED)
        connection._take_track_frame(frame())
        await eventually(lambda: live.ended(EndReason.REPLACED))
        connection._media_failed()
        assert live.metric("frames_received_total", source="track") == 1


async def test_a_session_is_counted_no_more_though_its_connection_cannot_be_closed_well(
    tiny_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who stops idle machines looks at this count: a session that stayed in it would be paid for."""

    async def fail(socket: SignalingSocket) -> None:
        raise OSError("no such thing")

    async with live_server(tiny_models) as live, raw_socket(live) as socket:
        monkeypatch.setattr(SignalingSocket, "close", fail)
        await socket.send_str('{"type":"hello"}')
        await socket.receive_json(timeout=5)
        assert live.server.sessions == 1
        await socket.send_str('{"type":"bye"}')
        await eventually(lambda: live.metric("sessions_active") == 0)
        assert live.server.sessions == 0
        assert live.ended(EndReason.BYE) == 1
