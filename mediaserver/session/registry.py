"""The one registry of this process's sessions: who is connected, who may come back, who is turned away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from mediaserver.session.ending import END_RULES, ConnectionEnded
from mediaserver.session.session import Session
from mediaserver.settings.model import Settings
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

    def take_place(self, subject: str | None, limit: int) -> EndReason | None:
        """Takes a place. Returns why there is none: all are taken, or ``limit`` of them by ``subject``."""
        ...

    def free_place(self, subject: str | None) -> None:
        """Gives a place of ``subject`` back."""
        ...


@dataclass(slots=True)
class _Entry:
    session: Session
    subject: str | None
    """Who was let in: the token's subject; ``None`` where no token is asked for."""
    detach: Callable[[], None] | None
    """Ends the connection that runs the session; ``None`` while no connection does."""
    ended: EndReason = EndReason.SERVER_SHUTDOWN
    """Why the last connection ended: what the session ended by, if its client does not come back."""
    expiry: asyncio.TimerHandle | None = None


class SessionRegistry:
    """Sessions by resume token. A session stays for ``resume_window_s`` after its connection was lost.

    Those that have a client have a place each, which are counted in ``count``, over all workers:
    ``max_sessions``, of which one subject may have ``max_sessions_per_subject``. As many may wait here for
    their clients to come back.
    """

    def __init__(self, settings: Settings, count: SessionCount, metrics: Metrics) -> None:
        self._settings = settings
        self._count = count
        self._metrics = metrics
        self._entries: dict[str, _Entry] = {}

    def __len__(self) -> int:
        """Sessions with a client, and those that wait for theirs to come back."""
        return len(self._entries)

    def holds(self, token: str, subject: str | None) -> bool:
        """Whether ``token`` leads to a session of ``subject``."""
        entry = self._entries.get(token)
        return entry is not None and entry.subject == subject

    def add(self, session: Session, subject: str | None, detach: Callable[[], None]) -> None:
        """Takes in a new session of ``subject``, run by the connection that ``detach`` ends.

        Raises `ConnectionEnded` where there is no place, or no sessions are taken now.
        """
        self._take_place(subject)
        if not self._count.begin_session():
            self._count.free_place(subject)
            raise ConnectionEnded(EndReason.SERVER_SHUTDOWN)
        self._metrics.sessions_started.inc()
        self._metrics.sessions_live.inc()
        self._entries[session.resume_token] = _Entry(session, subject, detach)

    def resume(self, token: str, subject: str | None, detach: Callable[[], None]) -> Session | None:
        """The session that ``token`` belongs to, now run by another connection; ``None`` where there is none,
        or it is another subject's.

        A connection that still runs it is ended: the client knows better that it is dead. Raises
        `ConnectionEnded` where there is no place; the session goes on waiting then.
        """
        if not self.holds(token, subject):
            return None
        entry = self._entries[token]
        if entry.detach is None:
            self._take_place(subject)
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
        self._count.free_place(entry.subject)
        window_s = self._settings.resume_window_s
        if END_RULES[reason].resumable and window_s > 0:
            loop = asyncio.get_running_loop()
            entry.expiry = loop.call_later(window_s, self._forget, session.resume_token)
            self._forget_longest_lost(entry.subject)
        else:
            self._forget(session.resume_token)

    def close(self) -> None:
        """Forgets every session."""
        for token in list(self._entries):
            self._forget(token)

    def _take_place(self, subject: str | None) -> None:
        reason = self._count.take_place(subject, self._settings.max_sessions_per_subject)
        if reason is not None:
            raise ConnectionEnded(reason)

    def _forget_longest_lost(self, subject: str | None) -> None:
        """Lost sessions are small, but clients that come and go quickly must not pile them up, and those of
        one subject must not push out the others'."""
        waiting = sorted(
            (entry.expiry.when(), token, entry.subject)
            for token, entry in self._entries.items()
            if entry.expiry is not None
        )
        own = [token for _, token, of in waiting if of == subject]
        if subject is not None and len(own) > self._settings.max_sessions_per_subject:
            self._forget(own[0])
        elif len(waiting) > self._settings.max_sessions:
            self._forget(waiting[0][1])

    def _forget(self, token: str) -> None:
        entry = self._entries.pop(token)
        if entry.detach is not None:
            self._count.free_place(entry.subject)
        if entry.expiry is not None:
            entry.expiry.cancel()
        self._count.end_session()
        self._metrics.sessions_live.dec()
        self._metrics.sessions_ended.labels(entry.ended).inc()
