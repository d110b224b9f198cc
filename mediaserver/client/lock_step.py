"""Frame by frame: the next one leaves when the result of the last is there."""

from __future__ import annotations

import asyncio

from mediaserver.client.errors import Refused, Unreachable
from mediaserver.client.link import Link
from mediaserver.client.still_frames import StillFrame
from signaling.messages import Closing, Error, ErrorCode, Result, ServerMessage

_REFUSED = frozenset({ErrorCode.BAD_FRAME, ErrorCode.TOO_LARGE, ErrorCode.RATE_LIMITED})
_ROUNDING_MS = 0.1
"""Of ``pts_ms`` in results."""


class LockStep:
    """One recording over one connection. ``reading`` reads the link: how it ends is how this ends."""

    def __init__(self, link: Link, reading: asyncio.Task[Closing]) -> None:
        self._link = link
        self._awaited: asyncio.Future[Result] | None = None
        self._lost: BaseException | None = None
        reading.add_done_callback(self._end)

    async def infer(self, frame: StillFrame) -> Result:
        """Sends ``frame`` and waits for its result.

        Raises `Refused` for a frame that the server rejects, and `Unreachable` if the connection ends. The
        server may have inferred that frame, so it is not sent again.
        """
        if self._lost is not None:
            raise self._lost
        self._awaited = asyncio.get_running_loop().create_future()
        await self._link.send_jpeg(frame.jpeg)
        result = await self._awaited
        if abs(result.frame.pts_ms - frame.time_s * 1000.0) > _ROUNDING_MS:
            raise Refused(f"the server answered the frame at {frame.time_s:.3f} s with another's result")
        return result

    def take(self, message: ServerMessage) -> None:
        """Looks at what came over the link."""
        match message:
            case Result():
                if self._awaited is not None and not self._awaited.done():
                    self._awaited.set_result(message)
            case Error() if message.code in _REFUSED:
                self._fail(Refused(f"the server did not take a frame: {message.message}"))
            case _:
                pass

    def _end(self, reading: asyncio.Task[Closing]) -> None:
        if reading.cancelled():
            return
        self._lost = reading.exception() or Unreachable(
            f"the connection was lost ({reading.result().reason}) before the last frame: begin again"
        )
        self._fail(self._lost)

    def _fail(self, error: BaseException) -> None:
        if self._awaited is not None and not self._awaited.done():
            self._awaited.set_exception(error)
