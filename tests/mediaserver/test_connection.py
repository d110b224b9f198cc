from __future__ import annotations

import time
from pathlib import Path

import av
import numpy as np

from mediaserver.receiver import ReceivedFrame
from signaling.messages import EndReason
from tests.live_server import live_server, raw_socket
from tests.waiting import eventually


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
