"""The one registry of this process's sessions: who is connected, who may come back, who is turned away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from mediaserver.session.ending import END_RULES, ConnectionEnded
from mediaserver.session.session import Session
from mediaserver.telemetry.metrics import Metrics
from signaling.messages import EndReason


class SessionCount(Protocol):
    """Counts over all workers: sessions, and the places of those that have a client."""

    def begin_session(self) -> bool:
        """Counts one more session; false, and nothing counted, while no new ones are taken."""
        ...

    def end_session(self) -> None:
        """Counts one session less."""
        ...

    def take_place(self, limit: int) -> bool:
        """Takes a place; false where ``limit`` of them are taken."""
        ...

    def free_place(self) -> None:
        """Gives a place back."""
        ...


@dataclass(slots=True)
class _Entry:
    session: Session
    detach: Callable[[], None] | None
    """Ends the connection that runs the session; ``None`` while no connection does."""
    ended: EndReason = EndReason.SERVER_SHUTDOWN
    """Why the last connection ended: what the session ended by, if its client does not come back."""
    expiry: asyncio.TimerHandle | None = None


class SessionRegistry:
    """Sessions by resume token. A session stays for ``resume_window_s`` after its connection was lost.

    At most ``max_sessions`` have a client at a time, over all workers; as many may wait here for theirs to
    come back. They are counted in ``count`` and in the metrics.
    """

    def __init__(
        self, resume_window_s: float, max_sessions: int, count: SessionCount, metrics: Metrics
    ) -> None:
        self._resume_window_s = resume_window_s
        self._max_sessions = max_sessions
        self._count = count
        self._metrics = metrics
        self._entries: dict[str, _Entry] = {}

    def __len__(self) -> int:
        """Sessions with a client, and those that wait for theirs to come back."""
        return len(self._entries)

    def __contains__(self, token: object) -> bool:
        """Whether ``token`` leads to a session."""
        return token in self._entries

    def add(self, session: Session, detach: Callable[[], None]) -> None:
        """Takes in a new session, run by the connection that ``detach`` ends.

        Raises `ConnectionEnded` where there is no place, or no sessions are taken now.
        """
        self._take_place()
        if not self._count.begin_session():
            self._count.free_place()
            raise ConnectionEnded(EndReason.SERVER_SHUTDOWN)
        self._metrics.sessions_started.inc()
        self._metrics.sessions_live.inc()
        self._entries[session.resume_token] = _Entry(session, detach)

    def resume(self, token: str, detach: Callable[[], None]) -> Session | None:
        """The session that ``token`` belongs to, now run by another connection.

        A connection that still runs it is ended: the client knows better that it is dead. Raises
        `ConnectionEnded` where there is no place; the session goes on waiting then.
        """
        entry = self._entries.get(token)
        if entry is None:
            return None
        if entry.detach is None:
            self._take_place()
        else:
            entry.detach()
        if entry.expiry is not None:
            entry.expiry.cancel()
            entry.expiry = None
        entry.detach = detach
        self._metrics.sessions_resumed.inc()
        return entry.session

    def release(self, session: Session, detach: Callable[[], None], reason: EndReason) -> None:
        """The connection that ``detach`` ends no longer runs the session, for ``reason``.

        Does nothing if another connection has taken it over.
        """
        entry = self._entries.get(session.resume_token)
        if entry is None or entry.detach != detach:
            return
        entry.detach, entry.ended = None, reason
        self._count.free_place()
        if END_RULES[reason].resumable and self._resume_window_s > 0:
            loop = asyncio.get_running_loop()
            entry.expiry = loop.call_later(self._resume_window_s, self._forget, session.resume_token)
            self._forget_longest_lost()
        else:
            self._forget(session.resume_token)

    def close(self) -> None:
        """Forgets every session."""
        for token in list(self._entries):
            self._forget(token)

    def _take_place(self) -> None:
        if not self._count.take_place(self._max_sessions):
            raise ConnectionEnded(EndReason.SERVER_FULL)

    def _forget_longest_lost(self) -> None:
        """Lost sessions are small, but clients that come and go quickly must not pile them up."""
        waiting = sorted(
            (entry.expiry.when(), token) for token, entry in self._entries.items() if entry.expiry is not None
        )
        for _, token in waiting[: max(0, len(waiting) - self._max_sessions)]:
            self._forget(token)

    def _forget(self, token: str) -> None:
        entry = self._entries.pop(token)
        if entry.detach is not None:
            self._count.free_place()
        if entry.expiry is not None:
            entry.expiry.cancel()
        self._count.end_session()
        self._metrics.sessions_live.dec()
        self._metrics.sessions_ended.labels(entry.ended).inc()
