from __future__ import annotations

from aiortc import RTCConfiguration, RTCPeerConnection, VideoStreamTrack
from aiortc.codecs.vpx import Vp8Encoder

from mediaserver.client.bitrate import BitrateCap


async def test_what_moves_the_target_up_is_held_down_before_the_next_frame() -> None:
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    try:
        sender = peer.addTransceiver(VideoStreamTrack(), direction="sendonly").sender
        cap = BitrateCap(sender)
        cap.max_bitrate = 300_000
        cap.hold()  # before the first frame there is no encoder yet
        encoder = Vp8Encoder()
        setattr(sender, "_RTCRtpSender__encoder", encoder)  # noqa: B010 - the seam, by its name
        encoder.target_bitrate = 1_200_000  # as a REMB does
        cap.hold()
        assert encoder.target_bitrate == 300_000
        encoder.target_bitrate = 260_000
        cap.hold()
        assert encoder.target_bitrate == 260_000
    finally:
        await peer.close()
