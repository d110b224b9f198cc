"""The data channel for results."""

from __future__ import annotations

import time

from aiortc import RTCDataChannel
from aiortc.exceptions import InvalidStateError

from mediaserver.webrtc.result_flow import ResultFlow


class ResultsChannel:
    """Sends results over a data channel, only while the path has room."""

    def __init__(self, channel: RTCDataChannel, flow: ResultFlow) -> None:
        self._channel = channel
        self._flow = flow
        self._lost = False

    @property
    def is_open(self) -> bool:
        """Whether the channel is open, and earlier results are acknowledged."""
        is_open = self._channel.readyState == "open" and not self._lost
        return is_open and not self._flow.is_stalled(time.monotonic())

    @property
    def has_room(self) -> bool:
        """Whether a result would be sent at once."""
        return self._channel.bufferedAmount == 0 and self._flow.has_room(time.monotonic())

    def send(self, text: str) -> bool:
        """Sends ``text``. Returns false if the channel is closing or ``text`` is too large for the client."""
        try:
            self._channel.send(text)
        except (InvalidStateError, ConnectionError):
            self._lost = True
            return False
        except ValueError:  # above the offer's a=max-message-size (RFC 8841 section 6.1)
            return False
        return True
