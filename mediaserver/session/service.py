"""What runs for a client that was let in."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial

from mediaserver.session.conversation import Conversation
from mediaserver.session.ending import ConnectionEnded, Ending
from mediaserver.session.greeting import Greeted, welcome
from mediaserver.session.liveness import Liveness
from mediaserver.session.media_link import MediaLink
from mediaserver.session.options import available_models, configured
from mediaserver.session.outlet import Outlet
from mediaserver.session.rate_control import Observation, RateControl
from mediaserver.session.session import Inference
from signaling.jpeg import JpegError, parse_jpeg
from signaling.messages import (
    Answer,
    Bye,
    Candidate,
    ClientMessage,
    Configure,
    EndReason,
    ErrorCode,
    Offer,
    Ping,
    PipelineConfig,
    Pong,
    ProtocolError,
    Report,
    ServerState,
    StateEvent,
    Trigger,
)
from signaling.rate_limit import RateLimit

_WATCH_INTERVAL_S = 0.25
_RATE_INTERVAL_S = 1.0
_OFFERS_PER_S, _OFFER_BURST = 0.5, 6.0
"""Each makes keys, sockets and decoders. A client offers again when its network or its camera changes."""


class Service:
    """Runs the session of ``greeted``, reads what the client says, watches that it lives."""

    def __init__(
        self,
        greeted: Greeted,
        conversation: Conversation,
        outlet: Outlet,
        inference: Inference,
        ending: Ending,
    ) -> None:
        self.session = greeted.session
        self._greeted = greeted
        self._conversation = conversation
        self._outlet = outlet
        self._inference = inference
        self._ending = ending
        self._media = MediaLink(inference, greeted.session, outlet, ending)
        self._offer_limit = RateLimit(_OFFERS_PER_S, _OFFER_BURST)
        self._liveness = Liveness(
            time.monotonic(),
            media_timeout_s=inference.settings.liveness_timeout_s,
            no_media_timeout_s=inference.settings.no_media_timeout_s,
        )

    async def run(self) -> None:
        """Welcomes the client and serves it until it is cancelled, as soon as the end was asked for."""
        settings, models = self._inference.settings, self._inference.engine.models
        await self._outlet.send(welcome(self._greeted, settings, models))
        async with self._conversation.refusing():
            self._configure(self._greeted.hello.pipeline)
        parts: list[Callable[[], Awaitable[None]]] = [
            partial(self._conversation.read, self._handle),
            partial(self.session.run, self._outlet),
            self._watch_liveness,
            self._tell_state,
            self._tell_media_failure,
            self._end_when_refused,
        ]
        if settings.rate_hints:
            parts.append(self._hint_rate)
        async with asyncio.TaskGroup() as tasks:
            for part in parts:
                tasks.create_task(self._ending.guard(part))

    async def close(self) -> None:
        """Ends the peer connection."""
        await self._media.close()

    # --- what goes on by itself ---

    async def _watch_liveness(self) -> None:
        while True:
            await asyncio.sleep(_WATCH_INTERVAL_S)
            if self._media.last_packet is not None:
                self._liveness.heard_media(self._media.last_packet)
            reason = self._liveness.verdict(time.monotonic())
            if reason is not None:
                raise ConnectionEnded(reason)

    async def _tell_state(self) -> None:
        """Tells the client when the engine is out of reach, and when it is there again."""
        told = ServerState.READY
        while True:
            state = ServerState.READY if self._inference.engine.trouble is None else ServerState.DEGRADED
            if state is not told:
                await self._outlet.send(StateEvent(state))
                told = state
            await asyncio.sleep(_WATCH_INTERVAL_S)

    async def _tell_media_failure(self) -> None:
        """The client may go on with JPEG frames, or offer again; if it does neither, liveness ends it."""
        while True:
            await self._media.failed.wait()
            self._media.failed.clear()
            await self._outlet.send(StateEvent(ServerState.MEDIA_FAILED))

    async def _end_when_refused(self) -> None:
        words = await asyncio.shield(self._media.refused)
        async with self._conversation.refusing():
            raise ProtocolError(ErrorCode.UNEXPECTED_MESSAGE, words, fatal=True)

    async def _hint_rate(self) -> None:
        control, session = RateControl(), self.session
        while True:
            await asyncio.sleep(_RATE_INTERVAL_S)
            sink, ocr = session.sink, session.pipeline.options.ocr
            framerate = self._media.camera_framerate
            seen = Observation(sink.received, session.inferred, *sink.size, ocr, framerate)
            hint = control.observe(time.monotonic(), seen)
            if hint is not None:
                await self._outlet.send(hint)

    # --- what the client says ---

    async def _handle(self, message: ClientMessage | bytes) -> None:
        match message:
            case bytes():
                self._take_jpeg(message)
            case Offer():
                await self._answer(message)
            case Candidate():
                await self._media.add_candidate(message.candidate)
            case Configure():
                self._configure(message.pipeline)
            case Trigger():
                self._request_ocr()
            case Ping():
                await self._outlet.send(Pong(message.id, time.time() * 1000.0))
            case Report():
                self._observe(message)
            case Bye():
                raise ConnectionEnded(EndReason.BYE)

    def _take_jpeg(self, data: bytes) -> None:
        try:
            frame = parse_jpeg(data)
        except JpegError as exc:
            raise ProtocolError(ErrorCode.BAD_FRAME, str(exc)) from exc
        self._liveness.heard_media(time.monotonic())
        self.session.sink.put_jpeg(frame)

    async def _answer(self, offer: Offer) -> None:
        negotiation = self._conversation.negotiation
        try:
            if not self._offer_limit.allows(time.monotonic()):
                raise ProtocolError(ErrorCode.RATE_LIMITED, "too many offers; wait some seconds")
            answer = await self._media.answer(offer)
        except ProtocolError:
            negotiation.refused(earlier_stays=self._media.is_open)
            raise
        self._liveness.expect_media(time.monotonic())
        negotiation.answered()
        await self._outlet.send(Answer(answer))

    def _configure(self, config: PipelineConfig) -> None:
        pipeline = self.session.pipeline
        options, missing = configured(pipeline.options, config, self._inference.engine.models)
        pipeline.configure(options)
        if missing:
            raise ProtocolError(
                ErrorCode.MODEL_UNAVAILABLE, f"this server has no model for {', '.join(missing)}"
            )

    def _request_ocr(self) -> None:
        if "ocr" not in available_models(self._inference.engine.models):
            raise ProtocolError(ErrorCode.MODEL_UNAVAILABLE, "this server has no model for ocr")
        self.session.pipeline.request_ocr()

    def _observe(self, report: Report) -> None:
        metrics = self._inference.metrics
        if report.render_fps is not None:
            metrics.client_render_fps.observe(report.render_fps)
        if report.result_age_ms is not None:
            metrics.client_result_age.observe(report.result_age_ms / 1000.0)
