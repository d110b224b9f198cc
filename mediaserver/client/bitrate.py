"""Holds aiortc's video encoder under the bitrate that the server asked for.

aiortc has no ``RTCRtpSender.setParameters``. Its encoder has a target bitrate, which each REMB of the other
side moves, so the cap is applied anew before each frame.
"""

from __future__ import annotations

from aiortc import RTCRtpSender

from mediaserver.webrtc.aiortc_seam import EncoderSeam


class BitrateCap:
    """Caps one sender. ``max_bitrate`` is bits per second, ``None`` for no cap.

    aiortc's encoders go no lower than 250 kbit/s. Raises `mediaserver.webrtc.aiortc_seam.SeamMoved`.
    """

    def __init__(self, sender: RTCRtpSender) -> None:
        self._encoder = EncoderSeam(sender)
        self.max_bitrate: int | None = None

    def hold(self) -> None:
        """Call before each frame."""
        if self.max_bitrate is not None:
            self._encoder.limit_bitrate(self.max_bitrate)
