"""A clip as the video track that aiortc sends."""

from __future__ import annotations

from collections.abc import Callable

import av
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError
from av.video.frame import PictureType

from mediaserver.client.frame_source import FrameSource


class ClipTrack(MediaStreamTrack):
    """Made anew for each peer connection, while ``source`` goes on. ``on_frame`` is told of each frame right
    before it is encoded."""

    kind = "video"

    def __init__(self, source: FrameSource, on_frame: Callable[[av.VideoFrame], None]) -> None:
        super().__init__()
        self._source = source
        self._on_frame = on_frame

    async def recv(self) -> av.VideoFrame:
        """The next frame, when it is due."""
        frame = await self._source.next_frame()
        if frame is None:
            raise MediaStreamError
        # A decoded frame has its type in the clip, and aiortc's VP8 encoder makes a keyframe of an intra
        # frame. A clip of intra frames (MJPEG) would become keyframes only, each poor at a given bitrate.
        frame.pict_type = PictureType.NONE
        self._on_frame(frame)
        return frame
