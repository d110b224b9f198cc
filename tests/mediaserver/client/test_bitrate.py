from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpSender, VideoStreamTrack
from aiortc.codecs.h264 import H264Encoder
from aiortc.codecs.vpx import Vp8Encoder
from aiortc.rtp import (
    RTCP_PSFB_APP,
    RTCP_PSFB_PLI,
    RTCP_RTPFB_NACK,
    RtcpPsfbPacket,
    RtcpRtpfbPacket,
    pack_remb_fci,
)

from mediaserver.client.bitrate import MIN_BITRATE, Bitrate, video_form


@pytest.fixture
async def sender() -> AsyncIterator[RTCRtpSender]:
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    yield peer.addTransceiver(VideoStreamTrack(), direction="sendonly").sender
    await peer.close()


async def estimate(sender: RTCRtpSender, bitrate: int) -> None:
    """As the other side sends it."""
    remb = RtcpPsfbPacket(fmt=RTCP_PSFB_APP, ssrc=1, media_ssrc=0, fci=pack_remb_fci(bitrate, [sender._ssrc]))
    await sender._handle_rtcp_packet(remb)


def send(bitrate: Bitrate, bits_per_s: float, framerate: int = 15) -> None:
    """Two seconds of so much."""
    for second in range(3):
        bitrate.sent(round(second * bits_per_s / 8), float(second))
        for _ in range(framerate):
            bitrate.hold()


@pytest.mark.parametrize("encoder", [Vp8Encoder(), H264Encoder()], ids=lambda each: type(each).__name__)
async def test_the_encoder_goes_below_the_floor_of_aiortc(sender: RTCRtpSender, encoder: Any) -> None:
    bitrate = Bitrate(sender)
    bitrate.hold()  # before the first frame there is no encoder yet
    setattr(sender, "_RTCRtpSender__encoder", encoder)  # noqa: B010 - the seam, by its name
    send(bitrate, 300_000)
    await estimate(sender, 70_000)
    bitrate.hold()
    assert encoder.target_bitrate == 63_000
    await estimate(sender, 10_000)
    bitrate.hold()
    assert encoder.target_bitrate == MIN_BITRATE


async def test_a_low_estimate_of_little_that_is_sent_says_nothing(sender: RTCRtpSender) -> None:
    bitrate = Bitrate(sender)
    before = bitrate.target
    send(bitrate, 40_000)
    await estimate(sender, 60_000)
    assert bitrate.target == before
    assert bitrate.form is None


async def test_a_frame_a_second_says_nothing_of_the_link(sender: RTCRtpSender) -> None:
    """Between two looks there may be two of them, and in the second that the other side looks at one."""
    bitrate = Bitrate(sender)
    before = bitrate.target
    send(bitrate, 80_000, framerate=1)
    await estimate(sender, 60_000)
    assert bitrate.target == before
    assert bitrate.form is None


async def test_a_link_that_widens_is_used_again(sender: RTCRtpSender) -> None:
    bitrate = Bitrate(sender, 500_000)
    send(bitrate, 400_000)
    await estimate(sender, 80_000)
    assert bitrate.form is not None
    while bitrate.form is not None:
        before = bitrate.target
        await estimate(sender, round(1.5 * before))
        assert bitrate.target > before
    assert bitrate.target >= 250_000


async def test_what_the_server_asks_for_is_the_most(sender: RTCRtpSender) -> None:
    bitrate = Bitrate(sender)
    bitrate.limit(150_000)
    assert bitrate.target == 150_000
    assert bitrate.form is None, "that is no matter of the link"
    await estimate(sender, 5_000_000)
    assert bitrate.target == 150_000
    bitrate.limit(900_000)
    assert bitrate.target == 900_000


async def test_keyframes_and_repetitions_do_not_crowd_out_what_is_new(
    sender: RTCRtpSender, monkeypatch: pytest.MonkeyPatch
) -> None:
    keyframes, repeated = [], []

    async def repeat(number: int) -> None:
        repeated.append(number)

    monkeypatch.setattr(sender, "_send_keyframe", lambda: keyframes.append(True))
    monkeypatch.setattr(sender, "_retransmit", repeat)
    Bitrate(sender, 50_000)
    for _ in range(10):
        await sender._handle_rtcp_packet(
            RtcpRtpfbPacket(fmt=RTCP_RTPFB_NACK, ssrc=1, media_ssrc=sender._ssrc, lost=list(range(10)))
        )
        await sender._handle_rtcp_packet(RtcpPsfbPacket(fmt=RTCP_PSFB_PLI, ssrc=1, media_ssrc=sender._ssrc))
    assert len(keyframes) == 1
    assert 10 <= len(repeated) <= 30


def test_the_narrower_the_link_the_fewer_and_smaller_the_pictures() -> None:
    forms = [video_form(bitrate) for bitrate in (40_000, 80_000, 120_000, 200_000)]
    assert None not in forms
    assert sorted(forms) == forms  # type: ignore[type-var]
    assert video_form(400_000) is None
