"""The frames of a clip or a camera, for whichever way to the server they take now."""

from __future__ import annotations

import asyncio

import av

from mediaserver.client.errors import ClipError
from mediaserver.client.player import Player


class FrameSource:
    """Hands out what ``player`` plays, each frame to one taker."""

    def __init__(self, player: Player) -> None:
        self._player = player
        self._turn = asyncio.Lock()
        self._played: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def framerate(self) -> float:
        """Frames a second, where nothing holds them back."""
        return self._player.framerate

    async def next_frame(self) -> av.VideoFrame | None:
        """Waits until the next frame is due; ``None`` at the end, and after an error, which `played`
        tells."""
        async with self._turn:
            try:
                frame = None if self._played.done() else await self._player.next_frame()
            except ClipError as exc:
                if not self._played.done():
                    self._played.set_exception(exc)
                return None
        if frame is None and not self._played.done():
            self._played.set_result(None)
        return frame

    async def played(self) -> None:
        """Returns when the last frame was taken; raises `ClipError` when it cannot be decoded on."""
        await asyncio.shield(self._played)
