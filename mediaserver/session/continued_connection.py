"""Serves a client that lost its WebSocket while its peer connection works.

Results go over the data channel until the client returns.
"""

from __future__ import annotations

from mediaserver.session.connection import Connection
from mediaserver.session.ending import ConnectionEnded
from mediaserver.session.outlet import Outlet
from mediaserver.session.registry import SessionRegistry
from mediaserver.session.service import Service
from mediaserver.session.session import Inference, Session
from signaling.messages import EndReason, ResultChannel


class ContinuedConnection(Connection):
    """A connection without a socket that serves ``session`` while it waits for its client."""

    def __init__(self, session: Session, inference: Inference, registry: SessionRegistry) -> None:
        super().__init__(inference, registry)
        self._session = session

    async def _serve(self) -> None:
        session, inference = self._session, self._inference
        if not self._registry.waits(session):
            raise ConnectionEnded(EndReason.REPLACED)
        found = self._registry.resume(session.resume_token, session.subject, self._replaced)
        assert found is not None, "a session that waits is there"
        watchers = self._registry.watchers.of(session)
        outlet = Outlet(None, ResultChannel.DATACHANNEL, watchers, inference.metrics)
        service = Service(session, found[1], outlet, inference, self._ending)
        self._begin(service, resumed=True)
        service.go_on()
        await service.run()
