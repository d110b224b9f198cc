from __future__ import annotations

import asyncio
import errno
import resource
import threading
from collections.abc import Callable, Iterator
from fractions import Fraction

import av
import numpy as np
import pytest

from inference.account import Account
from inference.fair_threads import FairThreads, Lane
from mediaserver.webrtc.decoder import (
    MAX_PENDING,
    MAX_PIXELS,
    Batch,
    BoundedDecoder,
    DecodedFrame,
    FrameDecoder,
)
from mediaserver.webrtc.frame_assembler import EncodedFrame, VideoCodec
from mediaserver.webrtc.frame_drops import DropReason
from tests.support.receive_counts import ReceiveCounts

ENCODERS = {
    VideoCodec.VP8: ("libvpx", {"deadline": "realtime", "lag-in-frames": "0"}),
    VideoCodec.H264: ("libx264", {"preset": "ultrafast", "tune": "zerolatency", "profile": "baseline"}),
}


def encode(codec: VideoCodec, count: int, size: tuple[int, int] = (320, 240)) -> list[EncodedFrame]:
    """A keyframe and what follows it; each picture is a little brighter than the one before."""
    name, options = ENCODERS[codec]
    encoder = av.VideoCodecContext.create(name, "w")
    assert isinstance(encoder, av.VideoCodecContext)
    (encoder.width, encoder.height), encoder.pix_fmt = size, "yuv420p"
    encoder.time_base, encoder.gop_size, encoder.options = Fraction(1, 30), 3000, options
    frames = []
    noise = np.random.default_rng(0).integers(-20, 21, (size[1] * 3 // 2, size[0]))
    for i in range(count):
        pixels = (60 + 4 * i + noise).astype(np.uint8)
        picture = av.VideoFrame.from_ndarray(pixels, format="yuv420p")
        picture.pts = i
        [packet] = encoder.encode(picture)
        frames.append(EncodedFrame(1, i, codec, packet.is_keyframe, bytes(packet), 0.0))
    return frames


def too_large(codec: VideoCodec) -> EncodedFrame:
    """A keyframe whose header says that it is larger than what is taken."""
    if codec is VideoCodec.VP8:
        frame = encode(codec, 1)[0]
        # RFC 6386 section 9.1: after the tag and the start code, width and height in 14 bits each.
        return frame._replace(data=frame.data[:6] + b"\xff\x3f\xff\x3f" + frame.data[10:])
    return encode(codec, 1, size=(4112, 2304))[0]


def brightness(picture: av.VideoFrame) -> float:
    return float(picture.to_ndarray()[:240].mean())


@pytest.fixture(scope="module")
def vp8() -> list[EncodedFrame]:
    return encode(VideoCodec.VP8, 30)


@pytest.fixture
def lane() -> Iterator[Lane]:
    with FairThreads(1, "decode") as threads:
        yield threads.lane(Account())


class TestFrameDecoder:
    @pytest.mark.parametrize("codec", VideoCodec)
    def test_each_frame_comes_out_at_once(self, codec: VideoCodec) -> None:
        decoder = FrameDecoder()
        for frame in encode(codec, 12):
            batch = decoder.decode([frame])
            assert batch.newest is not None
            assert batch.newest.encoded is frame
            assert brightness(batch.newest.picture) == pytest.approx(60 + 4 * frame.timestamp, abs=3)

    def test_only_the_newest_of_several_is_kept(self, vp8: list[EncodedFrame]) -> None:
        batch = FrameDecoder().decode(vp8[:5])
        assert batch.decoded == 5
        assert batch.newest is not None
        assert batch.newest.encoded is vp8[4]

    @pytest.mark.parametrize("codec", VideoCodec)
    def test_a_broken_frame_ends_the_batch_and_a_keyframe_begins_anew(self, codec: VideoCodec) -> None:
        frames = encode(codec, 5)
        decoder = FrameDecoder()
        batch = decoder.decode([frames[0], frames[1]._replace(data=b"\x01"), *frames[2:]])
        assert (batch.decoded, batch.undecodable, batch.failed) == (1, 4, True)
        assert decoder.decode(frames).decoded == 5

    def test_a_corrupt_picture_is_not_kept(self) -> None:
        frames = encode(VideoCodec.H264, 3)
        half = frames[0]._replace(data=frames[0].data[: len(frames[0].data) // 2])
        batch = FrameDecoder().decode([half, *frames[1:]])
        assert batch.newest is None
        assert (batch.corrupt, batch.undecodable, batch.failed) == (1, 2, True)

    @pytest.mark.parametrize("codec", VideoCodec)
    def test_a_picture_that_is_too_large_is_refused_by_its_header(self, codec: VideoCodec) -> None:
        decoder = FrameDecoder()
        batch = decoder.decode([too_large(codec)])
        assert (batch.undecodable, batch.failed) == (1, True)
        assert decoder.decode(encode(codec, 2)).decoded == 2

    def test_the_largest_picture_is_taken(self) -> None:
        batch = FrameDecoder().decode(encode(VideoCodec.VP8, 1, size=(4096, 2304)))
        assert batch.newest is not None
        assert (batch.newest.picture.width, batch.newest.picture.height) == (4096, 2304)

    def test_a_picture_that_is_refused_takes_no_memory(self) -> None:
        frame = too_large(VideoCodec.VP8)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        FrameDecoder().decode([frame])
        grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert grown_kib < MAX_PIXELS / 1024  # as decoded, it would take sixteen times this and more

    def test_a_decoder_that_was_opened_ahead_is_used(self) -> None:
        decoder = FrameDecoder()
        decoder.open()
        opened = dict(decoder._contexts)
        for codec in VideoCodec:
            assert decoder.decode(encode(codec, 2)).decoded == 2
        assert decoder._contexts == opened

    @pytest.mark.parametrize("error", [av.FFmpegError(12, "Cannot allocate memory"), ZeroDivisionError()])
    def test_a_decoder_that_cannot_be_opened_loses_its_frames_and_the_next_keyframe_tries_again(
        self, vp8: list[EncodedFrame], monkeypatch: pytest.MonkeyPatch, error: Exception
    ) -> None:
        def fail(name: str) -> av.VideoCodecContext:
            raise error

        decoder = FrameDecoder()
        with monkeypatch.context() as patch:
            patch.setattr("mediaserver.webrtc.decoder._open_context", fail)
            assert decoder.decode(vp8[:2]) == Batch(None, 0, undecodable=2, failed=True)
        assert decoder.decode(vp8[:2]).decoded == 2

    def test_the_codec_may_change_at_a_keyframe(self, vp8: list[EncodedFrame]) -> None:
        decoder = FrameDecoder()
        assert decoder.decode([*vp8[:3], *encode(VideoCodec.H264, 3)]).decoded == 6


class Sink:
    def __init__(self, lane: Lane) -> None:
        self.pictures: list[DecodedFrame] = []
        self.references_lost = 0
        self.told = asyncio.Event()
        self.counts = ReceiveCounts()
        self.decoder = BoundedDecoder(
            *(lane, self.take, self.lose, self.counts.frames_dropped, self.counts.memory_ran_out)
        )

    def take(self, frame: DecodedFrame) -> None:
        self.pictures.append(frame)
        self.told.set()

    def lose(self) -> None:
        self.references_lost += 1
        self.told.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not condition():
                await self.told.wait()
                self.told.clear()


class TestBoundedDecoder:
    async def test_that_there_is_no_memory_is_told(
        self, lane: Lane, vp8: list[EncodedFrame], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(name: str) -> av.VideoCodecContext:
            raise av.error.MemoryError(errno.ENOMEM, "Cannot allocate memory")

        monkeypatch.setattr("mediaserver.webrtc.decoder._open_context", fail)
        sink = Sink(lane)
        sink.decoder.open()
        sink.decoder.submit(vp8[0])
        await sink.until(lambda: sink.counts.memory_errors == 1)
        await sink.decoder.close()

    async def test_frames_that_come_while_the_decoders_open_are_decoded(
        self, lane: Lane, vp8: list[EncodedFrame]
    ) -> None:
        sink = Sink(lane)
        sink.decoder.open()
        assert sink.decoder.busy
        sink.decoder.submit(vp8[0])
        await sink.until(lambda: len(sink.pictures) == 1)
        await sink.decoder.close()

    async def test_pictures_come_on_the_loop(self, lane: Lane, vp8: list[EncodedFrame]) -> None:
        sink = Sink(lane)
        for frame in vp8:
            sink.decoder.submit(frame)
            await sink.until(lambda: not sink.decoder.busy)
        await sink.decoder.close()
        assert [p.encoded for p in sink.pictures] == vp8
        assert not sink.counts.dropped

    async def test_held_up_for_a_while_it_catches_up_and_delivers_the_newest(
        self, lane: Lane, vp8: list[EncodedFrame]
    ) -> None:
        sink = Sink(lane)
        release = threading.Event()
        lane.call(lambda _: None, release.wait)
        for frame in vp8[: MAX_PENDING + 1]:
            sink.decoder.submit(frame)
        release.set()
        await sink.until(lambda: len(sink.pictures) == 2)
        await sink.decoder.close()
        assert sink.pictures[-1].encoded is vp8[MAX_PENDING]
        assert sink.counts.dropped == {DropReason.SUPERSEDED: MAX_PENDING - 1}
        assert sink.references_lost == 0

    async def test_held_up_for_longer_it_skips_to_a_keyframe(
        self, lane: Lane, vp8: list[EncodedFrame]
    ) -> None:
        sink = Sink(lane)
        release = threading.Event()
        lane.call(lambda _: None, release.wait)
        for frame in vp8[: MAX_PENDING + 2]:
            sink.decoder.submit(frame)
        assert sink.references_lost == 1
        assert sink.counts.dropped == {DropReason.DECODER_BEHIND: MAX_PENDING + 1}
        sink.decoder.submit(vp8[0])
        release.set()
        await sink.until(lambda: len(sink.pictures) == 2)
        await sink.decoder.close()
        assert sink.references_lost == 1

    async def test_a_broken_frame_loses_the_reference(self, lane: Lane, vp8: list[EncodedFrame]) -> None:
        sink = Sink(lane)
        sink.decoder.submit(vp8[0]._replace(data=b"\x01"))
        sink.decoder.submit(vp8[1])
        await sink.until(lambda: sink.references_lost == 1)
        await sink.decoder.close()
        assert sink.pictures == []
        assert sink.counts.dropped == {DropReason.UNDECODABLE: 2}

    async def test_after_close_nothing_comes_any_more(self, lane: Lane, vp8: list[EncodedFrame]) -> None:
        sink = Sink(lane)
        sink.decoder.submit(vp8[0])
        await sink.decoder.close()
        await sink.decoder.close()
        sink.decoder.submit(vp8[1])
        assert not sink.decoder.busy
        assert sink.pictures == []


@pytest.mark.parametrize(
    ("pixels", "profile"),
    [
        ("yuv420p", "main"),
        ("yuv420p", "high"),
        ("yuv420p10le", "high10"),
        ("yuv422p", "high422"),
        ("yuv444p", "high444"),
    ],
)
def test_every_profile_of_h264_that_is_taken_is_decoded(pixels: str, profile: str) -> None:
    encoder = av.VideoCodecContext.create("libx264", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = 320, 240, pixels
    encoder.time_base, encoder.options = Fraction(1, 30), {"tune": "zerolatency", "profile": profile}
    picture = av.VideoFrame.from_ndarray(np.full((240, 320, 3), 120, np.uint8), format="rgb24")
    picture.pts = 0
    [packet] = encoder.encode(picture.reformat(format=pixels))
    batch = FrameDecoder().decode([EncodedFrame(1, 0, VideoCodec.H264, True, bytes(packet), 0.0)])
    assert batch.newest is not None
    assert np.abs(batch.newest.picture.to_ndarray(format="rgb24").astype(int) - 120).max() < 8
