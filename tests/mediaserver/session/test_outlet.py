from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from mediaserver.session.outlet import Outlet
from mediaserver.telemetry.metrics import Metrics
from signaling.messages import FrameInfo, Result, ResultChannel

RESULT = Result(1, FrameInfo(None, 0.0, None, 64, 48), None, None, None, None, {}, {})


@dataclass
class Channel:
    """What `Outlet` uses of an RTCDataChannel."""

    readyState: str = "open"
    bufferedAmount: int = 0
    sent: list[str] = field(default_factory=list)

    def send(self, text: str) -> None:
        self.sent.append(text)


@dataclass
class Socket:
    """What `Outlet` uses of a SignalingSocket."""

    ready: bool = True
    sent: list[str] = field(default_factory=list)

    async def send_if_ready(self, text: str) -> bool:
        if self.ready:
            self.sent.append(text)
        return self.ready


@pytest.mark.parametrize(
    ("wanted", "channel", "ready", "expected"),
    [
        (ResultChannel.DATACHANNEL, Channel(), True, ResultChannel.DATACHANNEL),
        (ResultChannel.DATACHANNEL, None, True, ResultChannel.WEBSOCKET),
        (ResultChannel.DATACHANNEL, Channel(readyState="connecting"), True, ResultChannel.WEBSOCKET),
        (ResultChannel.DATACHANNEL, Channel(bufferedAmount=10**6), True, None),
        (ResultChannel.WEBSOCKET, Channel(), True, ResultChannel.WEBSOCKET),
        (ResultChannel.WEBSOCKET, None, False, None),
    ],
)
async def test_results_take_the_channel_that_is_wanted_and_open_or_are_dropped(
    wanted: ResultChannel, channel: Channel | None, ready: bool, expected: ResultChannel | None
) -> None:
    socket = Socket(ready)
    metrics = Metrics()
    outlet = Outlet(socket, wanted, metrics)  # type: ignore[arg-type]
    outlet.use(channel)  # type: ignore[arg-type]
    assert await outlet.send_result(RESULT) is (expected is not None)
    sent = {
        each: metrics.registry.get_sample_value("mediaserver_results_sent_total", {"channel": each})
        for each in ResultChannel
    }
    assert sent == {each: 1 if each is expected else None for each in ResultChannel}
    assert len(socket.sent) == (expected is ResultChannel.WEBSOCKET)
