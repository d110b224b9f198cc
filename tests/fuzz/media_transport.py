"""An aiortc transport without a network, to which packets come decrypted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiortc import RTCCertificate, RTCDtlsTransport, RTCIceGatherer, RTCIceTransport, RTCRtpReceiver
from aiortc.codecs import CODECS, HEADER_EXTENSIONS
from aiortc.rtcrtpparameters import (
    RTCRtpDecodingParameters,
    RTCRtpReceiveParameters,
    RTCRtpRtxParameters,
)
from aiortc.rtcrtpreceiver import RemoteStreamTrack

from inference.account import Account
from inference.fair_threads import FairThreads, Lane
from mediaserver.webrtc.aiortc_seam.dtls import guard_sources
from mediaserver.webrtc.datagram_guard import SourceLimit
from mediaserver.webrtc.receiver import VideoReceiver
from tests.support.receive_counts import ReceiveCounts

SSRC, RTX_SSRC, OUR_SSRC = 1, 2, 3
VP8 = 97
"""Payload type; 98 is its retransmission, 99 H.264."""


class NoDecoding(Lane):
    """Decodes nothing: what a frame costs the decoder has bounds of its own."""

    def __init__(self) -> None:
        super().__init__(FairThreads(0, "none"), Account())

    def call(self, done: Callable[[Any], None], work: Callable[..., Any], *arguments: object) -> None:
        asyncio.get_running_loop().call_soon(done, None)


@dataclass
class MediaTransport:
    dtls: RTCDtlsTransport
    refused: list[str]
    """Words for what ends a peer connection."""

    async def rtp(self, packet: bytes, arrival_time_ms: int) -> None:
        await self.dtls._handle_rtp_data(packet, arrival_time_ms=arrival_time_ms)

    async def rtcp(self, packet: bytes) -> None:
        await self.dtls._handle_rtcp_data(packet)


@asynccontextmanager
async def receiving() -> AsyncIterator[MediaTransport]:
    """With a `VideoReceiver` of VP8 and H.264 behind it, both with retransmission."""
    dtls = RTCDtlsTransport(RTCIceTransport(RTCIceGatherer([])), [RTCCertificate.generateCertificate()])
    refused: list[str] = []
    guard_sources(dtls, int, SourceLimit().admits, refused.append)
    receiver = RTCRtpReceiver("video", dtls)
    receiver._track = RemoteStreamTrack("video")
    receiver._set_rtcp_ssrc(OUR_SSRC)
    counts = ReceiveCounts()
    video = VideoReceiver.attach(receiver, lambda frame: None, NoDecoding(), counts)
    await receiver.receive(
        RTCRtpReceiveParameters(
            codecs=CODECS["video"],
            headerExtensions=HEADER_EXTENSIONS["video"],
            encodings=[RTCRtpDecodingParameters(SSRC, VP8, RTCRtpRtxParameters(RTX_SSRC))],
        )
    )
    try:
        yield MediaTransport(dtls, refused)
    finally:
        await receiver.stop()
        await video.close()
    assert counts.faults == 0
