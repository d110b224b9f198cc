from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from fractions import Fraction
from pathlib import Path

import av
import pytest
from aiortc.codecs.vpx import Vp8Encoder, vp8_depayload
from aiortc.mediastreams import MediaStreamError

from mediaserver.client.clip import ClipPlayer
from mediaserver.client.frame_source import FrameSource
from mediaserver.client.track import ClipTrack
from tests.support.clips import picture


@pytest.fixture
async def player(tmp_path: Path) -> AsyncIterator[ClipPlayer]:
    """Five frames, each an intra frame, as cameras with MJPEG record them."""
    path = tmp_path / "intra.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=30)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuvj420p"
        for number in range(5):
            frame = av.VideoFrame.from_ndarray(picture(number / 30, (320, 240)), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 30)
            container.mux(stream.encode(frame.reformat(format="yuvj420p")))
        container.mux(stream.encode())
    async with ClipPlayer(path) as player:
        yield player


def is_keyframe(payload: bytes) -> bool:
    """RFC 6386, 9.1: the lowest bit of a VP8 frame is 0 in a keyframe."""
    return not vp8_depayload(payload)[0] & 1


async def test_how_a_clip_is_coded_does_not_tell_how_it_is_sent(player: ClipPlayer) -> None:
    told: list[float] = []
    source = FrameSource(player)
    track, encoder = ClipTrack(source, lambda frame: told.append(frame.time)), Vp8Encoder()
    keyframes = []
    with contextlib.suppress(MediaStreamError):
        while True:
            payloads, _ = encoder.encode(await track.recv())
            keyframes.append(is_keyframe(payloads[0]))
    await source.played()
    assert len(told) == len(keyframes) > 1
    assert keyframes == [True] + [False] * (len(keyframes) - 1)
