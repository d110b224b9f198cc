"""Holds aiortc's video encoder under the bitrate that the server asked for.

aiortc has no ``RTCRtpSender.setParameters``. Its encoder has a target bitrate, which each REMB of the other
side moves, so the cap is applied anew before each frame.
"""

from __future__ import annotations

from aiortc import RTCRtpSender

from mediaserver.receiver import SeamMoved

_ENCODER = "_RTCRtpSender__encoder"


class BitrateCap:
    """Caps one sender. ``max_bitrate`` is bits per second, ``None`` for no cap.

    aiortc's encoders go no lower than 250 kbit/s. Raises `SeamMoved` when aiortc is not the one that this was
    written for.
    """

    def __init__(self, sender: RTCRtpSender) -> None:
        if not hasattr(sender, _ENCODER):
            raise SeamMoved(f"aiortc's RTCRtpSender no longer has {_ENCODER}")
        self._sender = sender
        self.max_bitrate: int | None = None

    def hold(self) -> None:
        """Call before each frame. The encoder exists from the first frame on."""
        encoder = getattr(self._sender, _ENCODER)
        if encoder is None or self.max_bitrate is None:
            return
        encoder.target_bitrate = min(encoder.target_bitrate, self.max_bitrate)
