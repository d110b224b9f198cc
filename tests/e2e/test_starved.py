"""A server that hardly gets the processor does not take that for a narrow link."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from aiortc.rate import RemoteBitrateEstimator

from mediaserver.settings.types import NetworkInterface
from mediaserver.webrtc.aiortc_seam.arrival import KernelArrivals
from tests.network.camera import write_camera_recording
from tests.support.live_server import LiveServer, live_server
from tests.support.waiting import eventually

SETTLING_S, HELD_UP_S = 5.0, 12.0
PERIOD_S, PAUSE_S = 0.1, 0.08
LEAST_SHARE = 0.7
"""The estimate takes one step down by itself (0.85), and another one up."""


class HandlingTimes:
    """When the event loop got to the packet that it handles."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_ms = 0
        of_handled = KernelArrivals.of_handled

        def note_time(arrivals: KernelArrivals, handled_ms: int) -> int:
            self.now_ms = handled_ms
            return of_handled(arrivals, handled_ms)

        monkeypatch.setattr(KernelArrivals, "of_handled", note_time)


class Estimates:
    """Of the same packets: by the times of the kernel, which the sender is told, and by those of the event
    loop, for comparison."""

    def __init__(self, live: LiveServer, times: HandlingTimes, monkeypatch: pytest.MonkeyPatch) -> None:
        self.by_kernel: list[int] = []
        self.by_loop: list[int] = []
        self.begin()
        estimator, other = estimator_of(live), RemoteBitrateEstimator()
        estimate = estimator.add

        def add(arrival_time_ms: int, **packet: int) -> tuple[int, list[int]] | None:
            self._received_bytes += packet["payload_size"]
            told: tuple[int, list[int]] | None = estimate(arrival_time_ms=arrival_time_ms, **packet)
            for estimates, found in (
                (self.by_kernel, told),
                (self.by_loop, other.add(arrival_time_ms=times.now_ms, **packet)),
            ):
                if found is not None:
                    estimates.append(found[0])
            return told

        monkeypatch.setattr(estimator, "add", add)

    def begin(self) -> None:
        """Forgets what was so far."""
        self.by_kernel.clear()
        self.by_loop.clear()
        self._received_bytes, self._began_at = 0, time.monotonic()

    @property
    def received_kbit(self) -> float:
        """A second, since then."""
        return 8 * self._received_bytes / 1000 / (time.monotonic() - self._began_at)


def estimator_of(live: LiveServer) -> Any:
    (connection,) = live.server._connections
    assert connection._service is not None
    peer: Any = connection._service.media._peer
    [transceiver] = peer._connection.getTransceivers()
    return transceiver.receiver._RTCRtpReceiver__remote_bitrate_estimator


async def hold_up_the_loop(seconds: float) -> None:
    chance, end = random.Random(1), time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(PAUSE_S * chance.uniform(0.5, 1.5))
        await asyncio.sleep(PERIOD_S - PAUSE_S)


async def test_the_estimate_of_the_bit_rate_stays_above_what_is_sent(
    tiny_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip, times = write_camera_recording(tmp_path / "room.mp4", 25), HandlingTimes(monkeypatch)
    loopback = (NetworkInterface("127.0.0.1"),)
    async with live_server(tiny_models, ice_interfaces=loopback, rate_hints=False) as live:
        program = (sys.executable, "-m", "tests.network.python_client", live.socket_url, str(clip))
        client = await asyncio.create_subprocess_exec(
            *program, "datachannel", "24", stdout=asyncio.subprocess.DEVNULL
        )
        try:
            await eventually(lambda: live.metric("frames_inferred_total") > 0, 20)
            estimates = Estimates(live, times, monkeypatch)
            await asyncio.sleep(SETTLING_S)
            estimates.begin()
            await hold_up_the_loop(HELD_UP_S)
            received, kernel, loop = estimates.received_kbit, min(estimates.by_kernel), min(estimates.by_loop)
        finally:
            client.terminate()
            await client.wait()
    print(
        f"{received:.0f} kbit/s came; least estimate by kernel {kernel // 1000}, by event loop {loop // 1000}"
    )
    assert kernel > 1000 * LEAST_SHARE * received
