"""A clip as the video track that aiortc sends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import av
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError
from av.video.frame import PictureType

from mediaserver.client.clip import ClipError, ClipPlayer


class ClipTrack(MediaStreamTrack):
    """Made anew for each peer connection, while the player goes on. ``on_frame`` is told of each frame right
    before it is encoded."""

    kind = "video"

    def __init__(self, player: ClipPlayer, on_frame: Callable[[av.VideoFrame], None]) -> None:
        super().__init__()
        self._player = player
        self._on_frame = on_frame
        self._played: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def recv(self) -> av.VideoFrame:
        """The next frame, when it is due."""
        try:
            frame = await self._player.next_frame()
        except ClipError as exc:
            if not self._played.done():
                self._played.set_exception(exc)
            raise MediaStreamError from exc
        if frame is None:
            if not self._played.done():
                self._played.set_result(None)
            raise MediaStreamError
        # A decoded frame says how it was coded in the clip. To aiortc's VP8 encoder that is a wish: an intra
        # frame would become a keyframe, and a clip of intra frames only (MJPEG) nothing but keyframes, each
        # of them poor at a given bitrate.
        frame.pict_type = PictureType.NONE
        self._on_frame(frame)
        return frame

    async def played(self) -> None:
        """Returns when the clip has ended; raises `ClipError` when it cannot be decoded on."""
        await self._played
