"""Measures the receive path against plain aiortc: ``python -m tests.bench_receive [delay|loss|clock|cpu …]``.

Sender, relay and receiver share one process; CPU is compared by how much more the whole process uses with
one receiver than with the other.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

import av
from aiortc import MediaStreamTrack, RTCRtpReceiver
from aiortc.mediastreams import MediaStreamError
from aiortc.rtp import RtpPacket

from mediaserver.receiver import ReceivedFrame, VideoReceiver
from tests.impairment import Impairment, ImpairmentRelay
from tests.peer_pair import BarcodeCamera, read_barcode, sending


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def summary(values: list[float]) -> str:
    return (
        f"p50 {percentile(values, 0.5):7.2f}   p99 {percentile(values, 0.99):7.2f}   max {max(values):7.2f}"
    )


class Ours:
    """Receives with `VideoReceiver`."""

    name = "VideoReceiver"

    def __init__(self) -> None:
        self.frames: list[ReceivedFrame] = []
        self.delays_ms: list[float] = []
        self.shown: list[float] = []
        self._executor = ThreadPoolExecutor(1)

    def attach(self, receiver: RTCRtpReceiver) -> None:
        self.video = VideoReceiver.attach(receiver, self._take, self._executor)

    def _take(self, frame: ReceivedFrame) -> None:
        now = time.monotonic()
        self.frames.append(frame)
        self.shown.append(now)
        self.delays_ms.append((now - frame.arrived) * 1000)

    async def close(self) -> None:
        await self.video.close()
        self._executor.shutdown()


class Plain:
    """Receives with aiortc alone, noting when each frame's last packet came."""

    name = "aiortc"

    def __init__(self) -> None:
        self.delays_ms: list[float] = []
        self.shown: list[float] = []
        self._arrived: dict[int, float] = {}
        self._first: int | None = None

    def attach(self, receiver: RTCRtpReceiver) -> None:
        original = receiver._handle_rtp_packet

        async def note(packet: RtpPacket, arrival_time_ms: int) -> None:
            if self._first is None:
                self._first = packet.timestamp
            self._arrived[(packet.timestamp - self._first) & 0xFFFFFFFF] = time.monotonic()
            await original(packet, arrival_time_ms)

        receiver._handle_rtp_packet = note  # type: ignore[method-assign]
        self._reader = asyncio.create_task(self._read(receiver.track))

    async def _read(self, track: MediaStreamTrack) -> None:
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            assert isinstance(frame, av.VideoFrame)
            now = time.monotonic()
            self.shown.append(now)
            if frame.pts in self._arrived:
                self.delays_ms.append((now - self._arrived[frame.pts]) * 1000)

    async def close(self) -> None:
        self._reader.cancel()
        await asyncio.wait([self._reader])


async def receive(
    receiver: Ours | Plain,
    *,
    fps: float,
    seconds: float,
    codec: str = "VP8",
    relay: ImpairmentRelay | None = None,
) -> float:
    """Receives for ``seconds``; returns the CPU seconds that the process used meanwhile."""
    async with sending(BarcodeCamera(fps), receiver.attach, codec=codec, relay=relay):
        before = time.process_time()
        await asyncio.sleep(seconds)
        used = time.process_time() - before
        await receiver.close()
    return used


async def delay() -> None:
    print("last packet to frame on the event loop, decoding included, ms")
    for fps, codec in itertools.product((10, 15, 30), ("VP8", "H264")):
        for receiver in (Ours(), Plain()):
            await receive(receiver, fps=fps, seconds=8, codec=codec)
            print(f"  {codec:5}{fps:3} fps  {receiver.name:14} {summary(receiver.delays_ms)}")


async def loss() -> None:
    print("RTT 50 ms, 30 fps, 20 s: longest pause between frames, and frames usable of those sent")
    rtt = Impairment(delay=0.025)
    paths = {
        "no loss": rtt,
        "1 %": Impairment(loss=0.01, delay=0.025),
        "5 %": Impairment(loss=0.05, delay=0.025),
        "10 %": Impairment(loss=0.1, delay=0.025),
        "bursts of 10": Impairment(burst=0.005, burst_length=10, delay=0.025),
        "jitter 30 ms": Impairment(delay=0.025, jitter=0.03),
        "reorder 5 %": Impairment(delay=0.025, reorder=0.05),
    }
    for label, uplink in paths.items():
        for receiver in (Ours(), Plain()):
            async with ImpairmentRelay(uplink, rtt, seed=3) as relay:
                await receive(receiver, fps=30, seconds=20, relay=relay)
            pauses = [(b - a) * 1000 for a, b in itertools.pairwise(receiver.shown)]
            usable = len(receiver.shown) / (20 * 30)
            print(f"  {label:13} {receiver.name:14} pause {summary(pauses)} ms   usable {usable:.1%}", end="")
            if isinstance(receiver, Ours):
                stats = receiver.video.stats
                print(f"   nacks {stats.nacks} plis {stats.plis} assembled {stats.frames_assembled}", end="")
            print()


async def clock() -> None:
    print("capture time less the time drawn into the picture, ms")
    for codec in ("VP8", "H264"):
        receiver = Ours()
        await receive(receiver, fps=30, seconds=30, codec=codec)
        errors = [
            frame.capture_time_ms - drawn
            for frame in receiver.frames
            if frame.capture_time_ms is not None and (drawn := read_barcode(frame.picture)) is not None
        ]
        print(f"  {codec:5} min {min(errors):6.2f}   {summary(errors)}   of {len(errors)} frames")


async def cpu() -> None:
    print("CPU ms per stream-second of the whole process (camera, encoder, sender, receiver), 30 fps")
    for _ in range(3):
        for receiver in (Ours(), Plain()):
            used = await receive(receiver, fps=30, seconds=10)
            print(f"  {receiver.name:14} {used * 100:6.1f}")


MEASURES: dict[str, Callable[[], Awaitable[None]]] = {
    "delay": delay,
    "loss": loss,
    "clock": clock,
    "cpu": cpu,
}


async def main(names: list[str]) -> None:
    for name in names or MEASURES:
        await MEASURES[name]()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
