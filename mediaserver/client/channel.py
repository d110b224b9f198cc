"""How frames go up and results come down."""

from __future__ import annotations

from enum import StrEnum


class Channel(StrEnum):
    """How frames go up and results come down."""

    DATACHANNEL = "datachannel"
    """Frames over WebRTC, results over its data channel."""
    WEBSOCKET = "websocket"
    """Frames over WebRTC, results over the WebSocket."""
    JPEG = "jpeg"
    """Frames as JPEG and results, both over the WebSocket: for networks that block UDP."""
