from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from mediaserver.session.outlet import Outlet
from mediaserver.telemetry.metrics import Metrics
from signaling.findings import FrameInfo
from signaling.messages import Result, ResultChannel

RESULT = Result(1, FrameInfo(None, 0.0, None, 64, 48), None, None, None, None, {}, {})


@dataclass
class Channel:
    """What `Outlet` uses of a ResultsChannel."""

    is_open: bool = True
    has_room: bool = True
    sent: list[str] = field(default_factory=list)

    def send(self, text: str) -> bool:
        self.sent.append(text)
        return True


@dataclass
class Socket:
    """What `Outlet` uses of a SignalingSocket."""

    is_read: bool = True
    sent: list[str] = field(default_factory=list)

    async def send_if_read(self, text: str) -> bool:
        if self.is_read:
            self.sent.append(text)
        return self.is_read


@pytest.mark.parametrize(
    ("wanted", "channel", "ready", "expected"),
    [
        (ResultChannel.DATACHANNEL, Channel(), True, ResultChannel.DATACHANNEL),
        (ResultChannel.DATACHANNEL, None, True, ResultChannel.WEBSOCKET),
        (ResultChannel.DATACHANNEL, Channel(is_open=False), True, ResultChannel.WEBSOCKET),
        (ResultChannel.DATACHANNEL, Channel(has_room=False), True, None),
        (ResultChannel.WEBSOCKET, Channel(), True, ResultChannel.WEBSOCKET),
        (ResultChannel.WEBSOCKET, None, False, None),
    ],
)
async def test_results_take_the_channel_that_is_wanted_and_open_or_are_dropped(
    wanted: ResultChannel, channel: Channel | None, ready: bool, expected: ResultChannel | None
) -> None:
    socket = Socket(ready)
    metrics = Metrics()
    outlet = Outlet(socket, wanted, set(), metrics)  # type: ignore[arg-type]
    outlet.use(channel)  # type: ignore[arg-type]
    assert await outlet.send_result(RESULT) is (expected is not None)
    sent = {
        each: metrics.registry.get_sample_value("mediaserver_results_sent_total", {"channel": each})
        for each in ResultChannel
    }
    assert sent == {each: 1 if each is expected else None for each in ResultChannel}
    assert len(socket.sent) == (expected is ResultChannel.WEBSOCKET)


async def test_nothing_is_inferred_for_a_publisher_whom_nobody_watches() -> None:
    watchers: set[object] = set()
    outlet = Outlet(None, ResultChannel.DATACHANNEL, watchers, Metrics())  # type: ignore[arg-type]
    waiting = asyncio.create_task(outlet.room())
    await asyncio.sleep(0.15)
    assert not waiting.done()
    watchers.add(object())
    await asyncio.wait_for(waiting, 5)


@pytest.mark.parametrize("channel", [None, Channel()])
async def test_a_session_waits_until_its_client_reads(channel: Channel | None) -> None:
    socket = Socket(is_read=False)
    outlet = Outlet(socket, ResultChannel.DATACHANNEL, set(), Metrics())  # type: ignore[arg-type]
    outlet.use(channel)  # type: ignore[arg-type]
    if channel is not None:
        channel.has_room = False
    waiting = asyncio.create_task(outlet.room())
    await asyncio.sleep(0.15)
    assert not waiting.done()
    if channel is None:
        socket.is_read = True
    else:
        channel.has_room = True
    await asyncio.wait_for(waiting, 5)
