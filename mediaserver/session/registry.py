"""The registry of this process's sessions: those with a client, and those that wait for theirs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from mediaserver.session.ending import END_RULES, ConnectionEnded
from mediaserver.session.media_link import MediaLink
from mediaserver.session.session import Session
from mediaserver.session.watchers import Watchers
from mediaserver.settings.model import Settings
from mediaserver.telemetry.metrics import Metrics
from signaling.auth import Bearer
from signaling.messages import EndReason, ErrorCode, ProtocolError


class SessionCount(Protocol):
    """Counts over all workers: sessions, places of sessions with a client, and used tokens."""

    def use_token(self, bearer: Bearer) -> bool:
        """Whether the token may begin a session. A token with an id may begin one session only."""
        ...

    def forget_token(self, bearer: Bearer) -> None:
        """Makes the token usable again, as no session was begun."""
        ...

    def begin_session(self) -> bool:
        """Counts one more session. Returns false, without counting, while no new sessions are admitted."""
        ...

    def end_session(self) -> None:
        """Counts one session less."""
        ...

    def take_place(self, subject: str | None, limit: int) -> EndReason | None:
        """Takes a place, or returns a reason: all are taken, or ``subject`` has ``limit`` of them."""
        ...

    def free_place(self, subject: str | None) -> None:
        """Frees a place of ``subject``."""
        ...


@dataclass(slots=True)
class _Entry:
    session: Session
    media: MediaLink
    detach: Callable[[], None] | None
    """Ends the connection that runs the session; ``None`` while no connection does."""
    ended: EndReason = EndReason.SERVER_SHUTDOWN
    """Reason of the last connection's end, which is the session's if its client does not return."""
    expiry: asyncio.TimerHandle | None = None


class SessionRegistry:
    """Sessions by resume token. A session stays for ``resume_window_s`` after its connection was lost.

    A session with a client takes one of ``max_sessions`` places, counted in ``count`` over all workers. One
    subject may have ``max_sessions_per_subject`` places. The same limits apply to the sessions that wait here
    for their clients.
    """

    def __init__(self, settings: Settings, count: SessionCount, metrics: Metrics) -> None:
        self._settings = settings
        self._count = count
        self._metrics = metrics
        self._entries: dict[str, _Entry] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self.watchers = Watchers(settings, metrics)

    def __len__(self) -> int:
        """Number of sessions with a client, and of sessions that wait for their clients."""
        return len(self._entries)

    @property
    def connected(self) -> list[Session]:
        """Sessions with a client."""
        return [entry.session for entry in self._entries.values() if entry.detach is not None]

    @property
    def waiting(self) -> int:
        """Number of sessions whose clients may return."""
        return len(self._entries) - len(self.connected)

    def holds(self, token: str, subject: str | None) -> bool:
        """Whether ``token`` is the resume token of a session of ``subject``."""
        entry = self._entries.get(token)
        return entry is not None and entry.session.subject == subject

    def resume_token(self, subject: str | None, name: str) -> str | None:
        """Returns the resume token of the session of ``subject`` with this name, if there is one."""
        names = (token for token, entry in self._entries.items() if entry.session.name == name)
        return next((token for token in names if self.holds(token, subject)), None)

    def waits(self, session: Session) -> bool:
        """Whether the session waits for its client to return."""
        entry = self._entries.get(session.resume_token)
        return entry is not None and entry.detach is None

    def add(self, session: Session, media: MediaLink, detach: Callable[[], None]) -> None:
        """Adds a new session and its media, run by the connection that ``detach`` ends.

        Raises `ConnectionEnded` if there is no place, or no new sessions are admitted.
        """
        self._take_place(session.subject)
        if not self._count.begin_session():
            self._count.free_place(session.subject)
            raise ConnectionEnded(EndReason.SERVER_SHUTDOWN)
        self._metrics.sessions_started.inc()
        self._metrics.sessions_live.inc()
        self._entries[session.resume_token] = _Entry(session, media, detach)
        self.watchers.published(session)

    @contextlib.contextmanager
    def used(self, bearer: Bearer | None) -> Iterator[None]:
        """Marks the token as used, for a session that begins in the block.

        Raises a fatal `ProtocolError` if the token has begun a session already.
        """
        if bearer is not None and not self._count.use_token(bearer):
            words = "the token has opened a session here already"
            raise ProtocolError(ErrorCode.UNAUTHORIZED, words, fatal=True)
        try:
            yield
        except ConnectionEnded:
            if bearer is not None:
                self._count.forget_token(bearer)
            raise

    def resume(
        self, token: str, subject: str | None, detach: Callable[[], None]
    ) -> tuple[Session, MediaLink] | None:
        """Hands the session of ``token``, and its media, to the connection that ``detach`` ends.

        Returns ``None`` if there is no such session, or it belongs to another subject. A connection that
        still runs the session is ended, as the client has left it. Raises `ConnectionEnded` if there is no
        place; the session then keeps waiting.
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
        self.watchers.published(entry.session)
        return entry.session, entry.media

    def release(self, session: Session, detach: Callable[[], None], reason: EndReason) -> None:
        """Releases the session from the connection that ``detach`` ends, for ``reason``.

        Does nothing if another connection has taken the session over.
        """
        entry = self._entries.get(session.resume_token)
        if entry is None or entry.detach != detach:
            return
        entry.detach, entry.ended = None, reason
        self.watchers.unpublished(session)
        self._count.free_place(entry.session.subject)
        window_s = self._settings.resume_window_s
        if END_RULES[reason].resumable and window_s > 0:
            loop = asyncio.get_running_loop()
            entry.expiry = loop.call_later(window_s, self._forget, session.resume_token)
            self._forget_longest_lost(entry.session.subject)
        else:
            self._forget(session.resume_token)

    async def close(self) -> None:
        """Ends all sessions."""
        for token in list(self._entries):
            self._forget(token)
        if self._closing:
            await asyncio.wait(self._closing)

    def _take_place(self, subject: str | None) -> None:
        reason = self._count.take_place(subject, self._settings.max_sessions_per_subject)
        if reason is not None:
            raise ConnectionEnded(reason)

    def _forget_longest_lost(self, subject: str | None) -> None:
        """Ends the session that has waited longest, if too many wait.

        A subject above its own limit loses one of its own sessions, not those of others.
        """
        waiting = sorted(
            (entry.expiry.when(), token, entry.session.subject)
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
            self._count.free_place(entry.session.subject)
        if entry.expiry is not None:
            entry.expiry.cancel()
        closing = asyncio.create_task(_close(entry), name="close-session")
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
        self.watchers.over(entry.session)
        self._count.end_session()
        self._metrics.sessions_live.dec()
        self._metrics.sessions_ended.labels(entry.ended).inc()


async def _close(entry: _Entry) -> None:
    await asyncio.gather(entry.media.close(), entry.session.close())
