from __future__ import annotations

import asyncio
import itertools
import logging
import statistics
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest
from aiortc import RTCRtpReceiver
from aiortc.rtp import RtpPacket

from inference.account import Account
from inference.fair_threads import FairThreads, Lane
from mediaserver.webrtc.frame_drops import DropReason
from mediaserver.webrtc.receiver import ReceivedFrame, VideoReceiver
from tests.support.impairment import Impairment, ImpairmentRelay
from tests.support.peer_pair import BarcodeCamera, read_barcode, sending
from tests.support.receive_counts import ReceiveCounts


@pytest.fixture
def lane() -> Iterator[Lane]:
    with FairThreads(1, "decode") as threads:
        yield threads.lane(Account())


class Session:
    """A `VideoReceiver` and all that it delivered."""

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.counts = ReceiveCounts()
        self.frames: list[ReceivedFrame] = []
        self.video: VideoReceiver
        self.rtc: RTCRtpReceiver
        self._told = asyncio.Event()

    def attach(self, receiver: RTCRtpReceiver) -> None:
        self.rtc = receiver
        self.video = VideoReceiver.attach(receiver, self.take, self.lane, self.counts)

    def take(self, frame: ReceivedFrame) -> None:
        self.frames.append(frame)
        self._told.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Until ``condition`` holds after a frame."""
        async with asyncio.timeout(10):
            while not condition():
                await self._told.wait()
                self._told.clear()

    async def frame_count(self, count: int) -> None:
        await self.until(lambda: len(self.frames) >= count)


def drawn(frame: ReceivedFrame) -> int:
    """Unix milliseconds in the picture; fails if the picture is damaged."""
    ms = read_barcode(frame.picture)
    assert ms is not None
    return ms


@asynccontextmanager
async def receiving(
    lane: Lane, *, fps: float = 30, codec: str = "VP8", relay: ImpairmentRelay | None = None
) -> AsyncIterator[Session]:
    session = Session(lane)
    async with sending(BarcodeCamera(fps), session.attach, codec=codec, relay=relay):
        try:
            yield session
        finally:
            await session.video.close()


@pytest.mark.parametrize("codec", ["VP8", "H264"])
async def test_frames_come_whole_in_order_and_without_delay(codec: str, lane: Lane) -> None:
    async with receiving(lane, codec=codec) as session:
        await session.frame_count(40)
    frames = session.frames
    captured = [drawn(frame) for frame in frames]
    assert captured == sorted(captured)
    # aiortc alone needs a frame interval, 33 ms.
    assert statistics.median(frame.decoded - frame.arrived for frame in frames) < 0.012
    assert frames[0].pts_ms == 0
    for frame, ms in zip(frames, captured, strict=True):
        assert frame.pts_ms == pytest.approx(ms - captured[0], abs=1.5)
    assert session.counts.dropped[DropReason.INCOMPLETE] == session.counts.faults == 0
    assert session.video.last_packet is not None


async def test_no_thread_is_left_for_aiortc_to_join_on_the_event_loop(lane: Lane) -> None:
    async with receiving(lane) as session:
        await session.frame_count(10)
        assert "video-decoder" not in {thread.name for thread in threading.enumerate()}
        assert session.rtc._RTCRtpReceiver__decoder_queue.empty()  # type: ignore[attr-defined]


async def test_attaching_to_a_receiver_that_has_started(lane: Lane) -> None:
    session = Session(lane)
    receivers: list[RTCRtpReceiver] = []
    async with sending(BarcodeCamera(30), receivers.append):
        await asyncio.sleep(0.2)
        session.attach(receivers[0])
        await session.frame_count(5)
        await session.video.close()
    assert session.counts.plis >= 1


async def test_capture_times_are_in_the_sender_s_clock(lane: Lane) -> None:
    async with receiving(lane) as session:
        await session.until(lambda: any(not frame.capture_time_estimated for frame in session.frames))
        await session.frame_count(len(session.frames) + 20)
    errors = [
        frame.capture_time_ms - drawn(frame)
        for frame in session.frames
        if frame.capture_time_ms is not None and not frame.capture_time_estimated
    ]
    assert len(errors) >= 20
    # aiortc dates its report when it has sent the frame: encoding is part of the error. One report may be
    # late on a busy machine, so all frames of the test would be.
    assert statistics.median(map(abs, errors)) < 30


def longest_pause(frames: list[ReceivedFrame], since: float) -> float:
    times = [since, *(frame.decoded for frame in frames if frame.decoded > since)]
    return max(later - earlier for earlier, later in itertools.pairwise(times))


async def test_after_a_burst_of_losses_frames_go_on(lane: Lane) -> None:
    rtt = Impairment(delay=0.025)
    async with ImpairmentRelay(rtt, rtt) as relay, receiving(lane, relay=relay) as session:
        await session.frame_count(15)
        for _ in range(3):
            lost_at = time.monotonic()
            relay.uplink.drop_next = 10
            await asyncio.sleep(0.6)
            last = session.frames[-1].decoded
            assert last > lost_at + 0.3
            # 10 packets are about 150 ms of video; on a busy machine the test may wait for its turn, too.
            assert longest_pause(session.frames, lost_at) < 0.5
    assert session.counts.nacks > 0
    assert len({drawn(frame) for frame in session.frames}) == len(session.frames)


async def test_over_a_lossy_reordering_path_no_picture_is_damaged(lane: Lane) -> None:
    bad = Impairment(loss=0.1, delay=0.01, jitter=0.03, reorder=0.1, duplicate=0.1)
    relay = ImpairmentRelay(bad, Impairment(loss=0.1, delay=0.01))
    async with relay, receiving(lane, relay=relay) as session:
        await session.frame_count(50)
    assert len({drawn(frame) for frame in session.frames}) == len(session.frames)


async def test_a_lost_keyframe_is_asked_for_again(lane: Lane) -> None:
    async with ImpairmentRelay() as relay:
        relay.uplink.impairment = Impairment(loss=1.0)
        async with receiving(lane, relay=relay) as session:
            await asyncio.sleep(0.5)
            assert session.frames == []
            relay.uplink.impairment = Impairment()
            await session.frame_count(5)
            assert session.counts.plis >= 1


async def test_after_a_blackout_frames_go_on(lane: Lane) -> None:
    async with ImpairmentRelay() as relay, receiving(lane, relay=relay) as session:
        await session.frame_count(5)
        relay.kill()
        await asyncio.sleep(1.5)
        relay.kill(False)
        seen = len(session.frames)
        await session.frame_count(seen + 5)


async def test_a_fault_is_contained_counted_and_logged_once(
    lane: Lane, caplog: pytest.LogCaptureFixture
) -> None:
    async with receiving(lane) as session:
        await session.frame_count(3)
        with caplog.at_level(logging.ERROR):
            for _ in range(2):
                # A payload type that was never negotiated cannot get here by way of aiortc.
                packet = RtpPacket(payload_type=1)
                assert session.video._seam.add(packet) == (False, None)
        assert session.counts.faults == 2
        assert len([r for r in caplog.records if r.name == "mediaserver.webrtc.receiver"]) == 1
        seen = len(session.frames)
        await session.frame_count(seen + 5)


async def test_a_faulty_sink_does_not_end_the_stream(lane: Lane) -> None:
    session = Session(lane)

    def fail(frame: ReceivedFrame) -> None:
        session.take(frame)
        raise ZeroDivisionError

    def attach(receiver: RTCRtpReceiver) -> None:
        session.video = VideoReceiver.attach(receiver, fail, lane, session.counts)

    async with sending(BarcodeCamera(30), attach):
        await session.frame_count(5)
        assert session.counts.faults >= 4
        assert session.counts.plis == 0
        await session.video.close()


async def test_timestamps_to_and_fro_do_not_keep_it_from_closing(
    lane: Lane, caplog: pytest.LogCaptureFixture
) -> None:
    """aiortc's jitter then needs more than its 32 bits in a report (RFC 3550 section 6.4.1)."""
    async with receiving(lane) as session:
        await session.frame_count(1)
        for number in range(600):
            packet = RtpPacket(97, 0, number, timestamp=0xFFFF_FFFF if number % 2 else 0, ssrc=77)
            await session.rtc._handle_rtp_packet(packet, arrival_time_ms=0)
            await asyncio.sleep(0.001 * (number % 2))
        streams = session.rtc._RTCRtpReceiver__remote_streams  # type: ignore[attr-defined]
        assert streams[77].jitter > 0xFFFF_FFFF
        await asyncio.sleep(1.6)  # a report is due within 1.5 s
        async with asyncio.timeout(5):
            await session.rtc.stop()
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []


async def test_closing_is_quick_and_final(lane: Lane) -> None:
    async with receiving(lane) as session:
        await session.frame_count(3)
        await session.video.close()
        await session.video.close()
        seen = len(session.frames)
        await asyncio.sleep(0.1)
        assert len(session.frames) == seen
