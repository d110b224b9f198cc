"""Clients that watch sessions of others. Each gets the newest results and all events.

A slow watcher loses results, and does not delay others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Set

from mediaserver.session.ending import ConnectionEnded
from mediaserver.session.latest_slot import LatestSlot
from mediaserver.session.session import Session
from mediaserver.settings.model import Settings
from mediaserver.telemetry.metrics import Metrics
from signaling.codec import encode
from signaling.messages import EndReason, ServerState, StateEvent
from signaling.websocket import SignalingSocket

_MAX_EVENTS = 64
"""Events that may wait to be sent. A watcher with more is disconnected."""


class Watcher:
    """One socket that watches ``wanted``, the name or id of a session of one of ``subjects``.

    The first of ``subjects`` is the watcher's own. ``end`` ends the connection.
    """

    def __init__(
        self,
        wanted: str,
        subjects: tuple[str | None, ...],
        metrics: Metrics,
        end: Callable[[EndReason], None],
    ) -> None:
        self.subjects = subjects
        self.session: Session | None = None
        """The session that is watched now, with or without its publisher."""
        self._wanted = wanted
        self._metrics = metrics
        self._end = end
        self._told: ServerState | None = None
        self._result: LatestSlot[str] = LatestSlot()
        self._events: asyncio.Queue[str] = asyncio.Queue(_MAX_EVENTS)

    def may_watch(self, session: Session) -> bool:
        """Whether the watcher asked for this session, and its token allows it."""
        return session.subject in self.subjects and self._wanted in (session.id, session.name)

    def put_result(self, text: str) -> None:
        """Takes a result to send. A newer result may replace it."""
        if self._result.put(text):
            self._metrics.watcher_results_dropped.inc()

    def put_event(self, text: str) -> None:
        """Takes an event to send, which must not be lost."""
        try:
            self._events.put_nowait(text)
        except asyncio.QueueFull:
            self._end(EndReason.CLIENT_GONE)

    def tell(self, state: ServerState) -> None:
        """Sends whether there is a publisher, as `put_event`, if that has changed."""
        if state is not self._told:
            self._told = state
            self.put_event(encode(StateEvent(state)))

    async def send_results(self, socket: SignalingSocket) -> None:
        """Sends results until cancelled. Raises `signaling.websocket.SocketClosed`."""
        while True:
            await self._result.filled()
            text = self._result.take()
            if text is not None and await socket.send_if_read(text):
                self._metrics.watcher_results_sent.inc()
            elif text is not None:
                self._metrics.watcher_results_dropped.inc()

    async def send_events(self, socket: SignalingSocket) -> None:
        """Sends events until cancelled. Raises `signaling.websocket.SocketClosed`."""
        while True:
            await socket.send_text(await self._events.get())


class Watchers:
    """All watchers of this process, and the session that each watches."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._count = metrics.watchers
        self._all: set[Watcher] = set()
        self._audiences: dict[Session, set[Watcher]] = {}
        self._published: set[Session] = set()

    def of(self, session: Session) -> Set[Watcher]:
        """Returns a live set of the watchers of this session, which must not be over."""
        return self._audiences[session]

    def join(self, watcher: Watcher) -> None:
        """Adds a watcher, and sends it at once whether there is a publisher.

        Raises `ConnectionEnded` if there are too many watchers, or too many of one subject.
        """
        if len(self._all) >= self._settings.max_watchers:
            raise ConnectionEnded(EndReason.SERVER_FULL)
        subject = watcher.subjects[0]
        same = sum(each.subjects[0] == subject for each in self._all)
        if subject is not None and same >= self._settings.max_watchers_per_subject:
            raise ConnectionEnded(EndReason.TOO_MANY_SESSIONS)
        self._all.add(watcher)
        self._count.inc()
        self._lead(watcher)

    def leave(self, watcher: Watcher) -> None:
        """Removes a watcher that has joined."""
        self._all.discard(watcher)
        self._count.dec()
        if watcher.session is not None:
            self._audiences[watcher.session].discard(watcher)

    def published(self, session: Session) -> None:
        """Records that the session has a publisher, for the first time or again."""
        self._published.add(session)
        self._audiences.setdefault(session, set())
        for watcher in self._all:
            if watcher.session is None:
                self._lead(watcher)
            elif watcher.session is session:
                watcher.tell(ServerState.PUBLISHED)

    def unpublished(self, session: Session) -> None:
        """Records that the publisher has left, and may return."""
        self._published.discard(session)
        for watcher in self._audiences[session]:
            watcher.tell(ServerState.UNPUBLISHED)

    def over(self, session: Session) -> None:
        """Removes a session that has ended. Its watchers get the next session of that name."""
        self._published.discard(session)
        for watcher in self._audiences.pop(session):
            watcher.session = None
            self._lead(watcher)

    def _lead(self, watcher: Watcher) -> None:
        """Assigns a session to the watcher, if there is one: of the first subject in the watcher's order."""
        found = [session for session in self._audiences if watcher.may_watch(session)]
        if found:
            watcher.session = min(found, key=lambda session: watcher.subjects.index(session.subject))
            self._audiences[watcher.session].add(watcher)
        is_there = watcher.session in self._published
        watcher.tell(ServerState.PUBLISHED if is_there else ServerState.UNPUBLISHED)
