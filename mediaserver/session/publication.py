"""One client of WHIP (RFC 9725): it publishes, and receives only HTTP responses."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from dataclasses import dataclass, field

from mediaserver.session.connection import Connection
from mediaserver.session.ending import ConnectionEnded
from mediaserver.session.greeting import take_session
from mediaserver.session.options import configured, default_options, model_unavailable
from mediaserver.session.outlet import Outlet
from mediaserver.session.registry import SessionRegistry
from mediaserver.session.service import Service
from mediaserver.session.session import Inference
from mediaserver.webrtc.ice_addresses import ice_servers
from mediaserver.webrtc.peer import check_offer
from signaling.auth import Bearer
from signaling.messages import EndReason, ErrorCode, IceServer, Offer, ProtocolError, ResultChannel
from signaling.pipeline_config import PipelineConfig
from signaling.rate_limit import RateLimit
from signaling.sdp_fragment import SdpFragment

_FRAGMENTS_PER_S, _FRAGMENT_BURST = 5.0, 50.0
"""Limit of SDP fragments. A client gathers for some seconds, and may send each candidate by itself."""
_UFRAG = re.compile(r"^a=ice-ufrag:(\S+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class PublishRequest:
    """The request of a publisher."""

    sdp: str
    """The offer."""
    bearer: Bearer | None
    """The bearer of the token; ``None`` if the server has no keys."""
    name: str | None = None
    """Name of the stream. A session of the same subject and name is resumed."""
    pipeline: PipelineConfig = field(default_factory=PipelineConfig)

    @property
    def subject(self) -> str | None:
        """The subject of the session."""
        return self.bearer.subject if self.bearer else None


@dataclass(frozen=True, slots=True)
class Published:
    """The response to a publisher."""

    answer: str
    ice_servers: list[IceServer]


class IceRestart(Exception):
    """An SDP fragment of another ICE session. ICE restarts are not supported."""


class Publication(Connection):
    """Serves the publisher of ``request``."""

    _keeps_media = False  # the resource's URL ends with the connection

    def __init__(self, request: PublishRequest, inference: Inference, registry: SessionRegistry) -> None:
        super().__init__(inference, registry)
        self.subject = request.subject
        self.resource = secrets.token_urlsafe(24)
        """The random part of the resource's URL."""
        self.entity_tag = secrets.token_urlsafe(9)
        """Entity tag of the ICE session, which does not change."""
        self._request = request
        self._published: asyncio.Future[Published] = asyncio.get_running_loop().create_future()
        self._fragment_limit = RateLimit(_FRAGMENTS_PER_S, _FRAGMENT_BURST)

    async def published(self) -> Published:
        """Waits for the answer.

        Raises `ProtocolError` if the offer cannot be answered, `ConnectionEnded` if the connection ended
        before.
        """
        return await asyncio.shield(self._published)

    async def add_candidates(self, fragment: SdpFragment) -> None:
        """Adds candidates that came after the offer.

        Raises `ProtocolError` for unusable candidates and for too many fragments, `IceRestart`, and
        `ConnectionEnded`.
        """
        if not self._fragment_limit.allows(asyncio.get_running_loop().time()):
            raise ProtocolError(ErrorCode.RATE_LIMITED, "too many fragments; send candidates together")
        if fragment.ufrag is not None and fragment.ufrag not in _UFRAG.findall(self._request.sdp):
            raise IceRestart
        assert self._service is not None
        if not self._service.media.is_open:
            raise ConnectionEnded(self._ending.reason or EndReason.INTERNAL_ERROR)
        for candidate in fragment.candidates:
            await self._service.media.add_candidate(candidate)
        if fragment.is_last:
            await self._service.media.add_candidate(None)

    async def _serve(self) -> None:
        request, inference = self._request, self._inference
        try:
            self._check()
        except ProtocolError as exc:
            raise self._refusal(exc) from exc
        resume = None if request.name is None else self._registry.resume_token(request.subject, request.name)
        try:
            session, media, resumed = take_session(
                inference, self._registry, request.bearer, self._replaced, resume=resume, name=request.name
            )
        except ProtocolError as exc:
            raise self._refusal(exc) from exc
        watchers = self._registry.watchers.of(session)
        outlet = Outlet(None, ResultChannel.DATACHANNEL, watchers, inference.metrics)
        service = Service(session, media, outlet, inference, self._ending)
        self._begin(service, resumed=resumed)
        try:
            service.configure(request.pipeline)
            answer = await service.answer(Offer(request.sdp))
        except ProtocolError as exc:
            raise self._refusal(exc) from exc
        servers = ice_servers(inference.settings, session.id, time.time())
        self._published.set_result(Published(answer, servers))
        await service.run(self._end_when_refused)

    def _check(self) -> None:
        """Checks the request before a session is taken. Raises `ProtocolError`.

        So an unusable offer does not end the present publisher of that name.
        """
        check_offer(self._request.sdp)
        models, settings = self._inference.engine.models, self._inference.settings
        _, missing = configured(default_options(settings, models), self._request.pipeline, models)
        if missing:
            raise model_unavailable(missing)

    def _refusal(self, error: ProtocolError) -> ConnectionEnded:
        self._inference.metrics.protocol_errors.labels(error.code).inc()
        self._published.set_exception(error)
        return ConnectionEnded(EndReason.PROTOCOL_ERROR)

    async def _end_when_refused(self) -> None:
        assert self._service is not None
        await asyncio.shield(self._service.media.refused)
        raise ConnectionEnded(EndReason.PROTOCOL_ERROR)

    def _let_go(self, reason: EndReason, seconds: float) -> None:
        super()._let_go(reason, seconds)
        if not self._published.done():
            self._published.set_exception(ConnectionEnded(reason))
        self._published.exception()  # marks it as retrieved, for asyncio's check
