"""What a session has received, so that the next connection goes on where the last connection ended."""

from __future__ import annotations

import contextlib

from mediaserver.client.errors import Unreachable
from mediaserver.client.link import Link
from signaling.messages import OcrEvent, Pong, ServerMessage, Trigger, Welcome

_SEQ_HEADROOM = 1000
"""For results of the session before that come while the next one begins."""


class Continuity:
    """Of one client, over all its connections."""

    def __init__(self) -> None:
        self._newest_seq = 0
        self.last_event_id = 0
        """That of the newest event which came, 0 for none."""
        self._trigger_ping: int | None = None
        """The ping behind a trigger, whose answer tells that both have come."""

    @property
    def seq_floor(self) -> int:
        """Above which a new session is to number its results; 0 where it may begin at 1."""
        return self._newest_seq and self._newest_seq + _SEQ_HEADROOM

    def begin_anew(self) -> None:
        """What the sessions so far have numbered is forgotten."""
        self._newest_seq = 0

    def welcomed(self, welcome: Welcome) -> None:
        """A connection has come up, with a session that goes on or a new one."""
        if not welcome.resumed:
            # Not up to the floor: the session of before may still have results.
            self._newest_seq, self.last_event_id = min(self._newest_seq, welcome.seq_floor), 0

    def is_new(self, seq: int) -> bool:
        """Whether a result of this number, which came, is newer than all before."""
        is_new = seq > self._newest_seq
        self._newest_seq = max(seq, self._newest_seq)
        return is_new

    def take(self, message: ServerMessage) -> None:
        """Takes a message of the server."""
        match message:
            case OcrEvent():
                self.last_event_id = message.id
            case Pong() if message.id == self._trigger_ping:
                self._trigger_ping = None

    async def request_ocr(self, link: Link) -> None:
        """Raises `Unreachable` when the link is lost."""
        await link.send(Trigger())
        self._trigger_ping = await link.ping()

    async def repeat_request(self, link: Link) -> None:
        """Asks again for what was asked for over the last link, and may not have been received."""
        if self._trigger_ping is not None:
            with contextlib.suppress(Unreachable):  # who reads the link notices
                await self.request_ocr(link)
