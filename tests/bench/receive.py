"""Measures the receive path against plain aiortc: ``python -m tests.bench.receive [delay|loss|clock|cpu …]``.

Sender, relay and receiver share one process. Only the CPU measure goes without a network: it feeds recorded
packets to the receiver, each frame when the one before has come out.
"""

from __future__ import annotations

import asyncio
import itertools
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable

import av
import uvloop
from aiortc import (
    MediaStreamTrack,
    RTCCertificate,
    RTCDtlsTransport,
    RTCIceGatherer,
    RTCIceTransport,
    RTCRtpReceiver,
)
from aiortc.codecs import CODECS
from aiortc.codecs.vpx import Vp8Encoder
from aiortc.mediastreams import MediaStreamError
from aiortc.rtcrtpparameters import RTCRtpReceiveParameters
from aiortc.rtcrtpreceiver import RemoteStreamTrack
from aiortc.rtp import RtpPacket

from inference.account import Account
from inference.fair_threads import FairThreads
from mediaserver.webrtc.receiver import ReceivedFrame, VideoReceiver
from tests.support.impairment import Impairment, ImpairmentRelay
from tests.support.peer_pair import BarcodeCamera, read_barcode, sending
from tests.support.receive_counts import ReceiveCounts

DELAY_FRAMES = 240
CPU_RUNS = 20


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def summary(values: list[float]) -> str:
    return (
        f"p50 {percentile(values, 0.5):7.2f}   p99 {percentile(values, 0.99):7.2f}   max {max(values):7.2f}"
    )


class Ours:
    """Receives with `VideoReceiver`."""

    name = "VideoReceiver"

    def __init__(self, *, keep: bool = True) -> None:
        self._keep = keep
        self.frames: list[ReceivedFrame] = []
        self.delays_ms: list[float] = []
        self.shown: list[tuple[float, av.VideoFrame]] = []
        self.came = asyncio.Event()
        self._threads = FairThreads(1, "decode").__enter__()
        self.counts = ReceiveCounts()

    def attach(self, receiver: RTCRtpReceiver) -> None:
        self.video = VideoReceiver.attach(receiver, self._take, self._threads.lane(Account()), self.counts)

    def _take(self, frame: ReceivedFrame) -> None:
        now = time.monotonic()
        self.came.set()
        if not self._keep:
            return
        self.frames.append(frame)
        self.shown.append((time.time(), frame.picture))
        self.delays_ms.append((now - frame.arrived) * 1000)

    async def close(self) -> None:
        await self.video.close()
        self._threads.__exit__(None, None, None)


class Plain:
    """Receives with aiortc alone, noting when each frame's last packet came."""

    name = "aiortc"

    def __init__(self, *, keep: bool = True) -> None:
        self._keep = keep
        self.delays_ms: list[float] = []
        self.shown: list[tuple[float, av.VideoFrame]] = []
        self.came = asyncio.Event()
        self._arrived: dict[int, float] = {}
        self._first: int | None = None

    def attach(self, receiver: RTCRtpReceiver) -> None:
        self._reader = asyncio.create_task(self._read(receiver.track))
        if not self._keep:
            return
        original = receiver._handle_rtp_packet

        async def note(packet: RtpPacket, arrival_time_ms: int) -> None:
            if self._first is None:
                self._first = packet.timestamp
            self._arrived[(packet.timestamp - self._first) & 0xFFFFFFFF] = time.monotonic()
            await original(packet, arrival_time_ms)

        receiver._handle_rtp_packet = note  # type: ignore[method-assign]

    async def _read(self, track: MediaStreamTrack) -> None:
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            assert isinstance(frame, av.VideoFrame)
            now = time.monotonic()
            self.came.set()
            if not self._keep:
                continue
            self.shown.append((time.time(), frame))
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
) -> None:
    """Receives for ``seconds``."""
    async with sending(BarcodeCamera(fps), receiver.attach, codec=codec, relay=relay):
        await asyncio.sleep(seconds)
        await receiver.close()


async def delay() -> None:
    print("last packet to frame on the event loop, decoding included, ms")
    for fps, codec in itertools.product((10, 15, 30), ("VP8", "H264")):
        for receiver in (Ours(), Plain()):
            await receive(receiver, fps=fps, seconds=DELAY_FRAMES / fps, codec=codec)
            print(f"  {codec:5}{fps:3} fps  {receiver.name:14} {summary(receiver.delays_ms)}")


async def loss() -> None:
    print("RTT 50 ms, 30 fps, 12 s: pause between frames, age of a frame when it is shown (ms); usable: the")
    print("share of sent frames that were shown at most 200 ms after they were captured")
    rtt = Impairment(delay=0.025)
    paths = {
        "no loss": rtt,
        "1 %": Impairment(loss=0.01, delay=0.025),
        "5 %": Impairment(loss=0.05, delay=0.025),
        "10 %": Impairment(loss=0.1, delay=0.025),
        "bursts of 10": Impairment(burst=0.005, burst_length=10, delay=0.025),
        "jitter 30 ms": Impairment(delay=0.025, jitter=0.03),
        "reorder 5 %": Impairment(delay=0.025, reorder=0.05),
        "all of these": Impairment(loss=0.05, delay=0.025, jitter=0.03, reorder=0.05),
    }
    for label, uplink in paths.items():
        for receiver in (Ours(), Plain()):
            async with ImpairmentRelay(uplink, rtt, seed=3) as relay:
                await receive(receiver, fps=30, seconds=12, relay=relay)
            pauses = [(b - a) * 1000 for (a, _), (b, _) in itertools.pairwise(receiver.shown)]
            ages = [at * 1000 - (read_barcode(picture) or 0) for at, picture in receiver.shown]
            usable = sum(age <= 200 for age in ages) / (12 * 30)
            print(f"  {label:13} {receiver.name:14} pause {summary(pauses)}   age {summary(ages)}", end="")
            print(f"   usable {usable:.1%}", end="")
            if isinstance(receiver, Ours):
                print(f"   nacks {receiver.counts.nacks} plis {receiver.counts.plis}", end="")
            print()


async def clock() -> None:
    print("capture time less the time drawn into the picture, ms")
    for codec in ("VP8", "H264"):
        receiver = Ours()
        await receive(receiver, fps=30, seconds=30, codec=codec)
        errors = [
            frame.capture_time_ms - drawn
            for frame in receiver.frames
            if frame.capture_time_ms is not None
            and not frame.capture_time_estimated
            and (drawn := read_barcode(frame.picture)) is not None
        ]
        print(f"  {codec:5} min {min(errors):6.2f}   {summary(errors)}   of {len(errors)} frames")


async def recorded_packets(frames: int, fps: int, bitrate: int) -> list[list[RtpPacket]]:
    """What aiortc would send of `BarcodeCamera`, frame by frame."""
    camera, encoder = BarcodeCamera(200), Vp8Encoder()
    # Not by the property: aiortc would go no lower than 250 kbit/s, where a browser obeys.
    setattr(encoder, "_Vp8Encoder__target_bitrate", bitrate)  # noqa: B010
    recording: list[list[RtpPacket]] = []
    sequence = itertools.count()
    for number in range(frames):
        picture = await camera.recv()
        picture.pts = 90_000 // fps * number
        payloads, timestamp = encoder.encode(picture)
        recording.append(
            [
                RtpPacket(
                    payload_type=97,
                    marker=int(payload is payloads[-1]),
                    sequence_number=next(sequence),
                    timestamp=timestamp,
                    ssrc=1,
                    payload=payload,
                )
                for payload in payloads
            ]
        )
    return recording


async def cpu() -> None:
    """The last row: a sender that obeys the hint of a session with 10 inferences a second. Pictures are not
    kept, as the server keeps none: new memory for each would cost more than all that is compared here."""
    print(
        f"CPU ms per stream-second, from RTP packet to frame on the loop, VP8 320x240, {CPU_RUNS} runs each"
    )
    full = await recorded_packets(300, fps=30, bitrate=500_000)
    hinted = await recorded_packets(150, fps=15, bitrate=150_000)
    used: dict[str, list[float]] = defaultdict(list)
    for _ in range(CPU_RUNS):
        used["ours, 30 fps"].append(await _cpu_ms(Ours(keep=False), full, 30))
        used["plain aiortc, 30 fps"].append(await _cpu_ms(Plain(keep=False), full, 30))
        used["ours, hinted to 15 fps"].append(await _cpu_ms(Ours(keep=False), hinted, 15))
    plain = used["plain aiortc, 30 fps"]
    for name, values in used.items():
        median, least = statistics.median(values), min(values)
        print(f"  {name:22} median {median:5.1f}   least {least:5.1f}", end="")
        print(f"   of aiortc's {median / statistics.median(plain):.2f}, {least / min(plain):.2f}")


async def _cpu_ms(receiver: Ours | Plain, recording: list[list[RtpPacket]], fps: int) -> float:
    """Processor milliseconds that a second of the stream costs."""
    rtc = RTCRtpReceiver(
        "video",
        RTCDtlsTransport(
            RTCIceTransport(RTCIceGatherer(iceServers=[])), [RTCCertificate.generateCertificate()]
        ),
    )
    rtc._track = RemoteStreamTrack("video")
    receiver.attach(rtc)
    await rtc.receive(RTCRtpReceiveParameters(codecs=[CODECS["video"][0]]))
    before = time.process_time()
    for number, packets in enumerate(recording):
        for packet in packets:
            await rtc._handle_rtp_packet(packet, 0)
        # aiortc lets a frame go when the next one begins.
        if isinstance(receiver, Ours) or number > 0:
            await receiver.came.wait()
            receiver.came.clear()
    spent = time.process_time() - before
    await receiver.close()
    await rtc.stop()
    return spent / len(recording) * fps * 1000


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
    uvloop.run(main(sys.argv[1:]))
