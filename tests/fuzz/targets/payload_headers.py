"""RTP payloads of both codecs: the header that aiortc removes, and what is read from what it leaves."""

from __future__ import annotations

from aiortc.codecs import depayload
from aiortc.rtcrtpparameters import RTCRtpCodecParameters

from mediaserver.webrtc.codecs import VideoCodec, inspect_payload

_PARAMETERS = {
    codec: RTCRtpCodecParameters(mimeType=f"video/{codec}", clockRate=90_000, payloadType=96)
    for codec in VideoCodec
}


def one_input(data: bytes) -> None:
    for codec in VideoCodec:
        try:
            frame_data = depayload(_PARAMETERS[codec], data) if data else b""
        except ValueError:
            continue
        begins_frame, keyframe = inspect_payload(codec, data, frame_data)
        assert frame_data or not (begins_frame or keyframe)
