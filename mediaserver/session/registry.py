"""The one registry of this process's sessions: who is connected, who may come back, who is turned away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from mediaserver.session.session import Session
from mediaserver.telemetry.metrics import Metrics


@dataclass(slots=True)
class _Entry:
    session: Session
    detach: Callable[[], None] | None
    """Ends the connection that runs the session; ``None`` while no connection does."""
    expiry: asyncio.TimerHandle | None = None


class SessionCount(Protocol):
    """Counts the live sessions of all workers."""

    def begin_session(self) -> bool:
        """Counts one more; false, and nothing counted, while no sessions are taken."""
        ...

    def end_session(self) -> None:
        """Counts one less."""
        ...


class SessionRegistry:
    """Sessions by resume token. A session stays for ``resume_window_s`` after its connection was lost.

    They are counted in ``count``, over all workers, and in the metrics.
    """

    def __init__(
        self, resume_window_s: float, max_resumable: int, count: SessionCount, metrics: Metrics
    ) -> None:
        self._resume_window_s = resume_window_s
        self._max_resumable = max_resumable
        self._count = count
        self._live = metrics.sessions_live
        self._entries: dict[str, _Entry] = {}

    def __len__(self) -> int:
        """Sessions with a client, and those that wait for theirs to come back."""
        return len(self._entries)

    def __contains__(self, token: object) -> bool:
        """Whether ``token`` leads to a session."""
        return token in self._entries

    def add(self, session: Session, detach: Callable[[], None]) -> bool:
        """Takes in a new session, run by the connection that ``detach`` ends; false while none are taken."""
        if not self._count.begin_session():
            return False
        self._live.inc()
        self._entries[session.resume_token] = _Entry(session, detach)
        return True

    def resume(self, token: str, detach: Callable[[], None]) -> Session | None:
        """The session that ``token`` belongs to, now run by another connection.

        A connection that still runs it is ended: the client knows better that it is dead.
        """
        entry = self._entries.get(token)
        if entry is None:
            return None
        if entry.expiry is not None:
            entry.expiry.cancel()
            entry.expiry = None
        if entry.detach is not None:
            entry.detach()
        entry.detach = detach
        return entry.session

    def release(self, session: Session, detach: Callable[[], None], *, resumable: bool) -> None:
        """The connection that ``detach`` ends no longer runs the session.

        Does nothing if another connection has taken it over.
        """
        entry = self._entries.get(session.resume_token)
        if entry is None or entry.detach != detach:
            return
        entry.detach = None
        if resumable and self._resume_window_s > 0:
            loop = asyncio.get_running_loop()
            entry.expiry = loop.call_later(self._resume_window_s, self._forget, session.resume_token)
            self._forget_longest_lost()
        else:
            self._forget(session.resume_token)

    def close(self) -> None:
        """Forgets every session."""
        for token in list(self._entries):
            self._forget(token)

    def _forget_longest_lost(self) -> None:
        """Lost sessions are small, but clients that come and go quickly must not pile them up."""
        waiting = sorted(
            (entry.expiry.when(), token) for token, entry in self._entries.items() if entry.expiry is not None
        )
        for _, token in waiting[: max(0, len(waiting) - self._max_resumable)]:
            self._forget(token)

    def _forget(self, token: str) -> None:
        entry = self._entries.pop(token)
        self._count.end_session()
        self._live.dec()
        if entry.expiry is not None:
            entry.expiry.cancel()
