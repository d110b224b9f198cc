"""Handles the messages of a client that has a session, and sends rate hints."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial

from mediaserver.session.conversation import Conversation
from mediaserver.session.ending import ConnectionEnded
from mediaserver.session.greeting import Greeted, welcome
from mediaserver.session.options import available_models
from mediaserver.session.outlet import Outlet
from mediaserver.session.rate_control import Observation, RateControl
from mediaserver.session.service import Service
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
    Pong,
    ProtocolError,
    Report,
    Trigger,
)

_RATE_INTERVAL_S = 1.0


class Dialogue:
    """Reads the messages of the client of ``service`` and carries them out."""

    def __init__(
        self,
        greeted: Greeted,
        conversation: Conversation,
        outlet: Outlet,
        service: Service,
        inference: Inference,
    ) -> None:
        self._greeted = greeted
        self._conversation = conversation
        self._outlet = outlet
        self._service = service
        self._inference = inference

    async def run(self) -> None:
        """Sends ``welcome``, and serves the client as `Service.run`."""
        settings, models = self._inference.settings, self._inference.engine.models
        await self._outlet.send(welcome(self._greeted, settings, models))
        async with self._conversation.refusing():
            self._service.configure(self._greeted.hello.pipeline)
        parts: list[Callable[[], Awaitable[None]]] = [
            partial(self._conversation.read, self._handle),
            self._end_when_refused,
        ]
        if settings.rate_hints and not self._service.session.every_frame:
            parts.append(self._hint_rate)
        await self._service.run(*parts)

    async def _end_when_refused(self) -> None:
        words = await asyncio.shield(self._service.media.refused)
        async with self._conversation.refusing():
            raise ProtocolError(ErrorCode.UNEXPECTED_MESSAGE, words, fatal=True)

    async def _hint_rate(self) -> None:
        control, session = RateControl(), self._service.session
        while True:
            await asyncio.sleep(_RATE_INTERVAL_S)
            sink, ocr = session.sink, session.pipeline.options.ocr
            framerate = self._service.media.camera_framerate
            seen = Observation(sink.received, session.inferred, *sink.size, ocr, framerate)
            hint = control.observe(time.monotonic(), seen)
            if hint is not None:
                is_held_back = framerate is None or hint.max_framerate < framerate
                session.asked_framerate = hint.max_framerate if is_held_back else None
                await self._outlet.send(hint)

    async def _handle(self, message: ClientMessage | bytes) -> None:
        match message:
            case bytes():
                self._take_jpeg(message)
            case Offer():
                await self._answer(message)
            case Candidate():
                await self._service.media.add_candidate(message.candidate)
            case Configure():
                self._service.configure(message.pipeline)
            case Trigger():
                self._request_ocr()
            case Ping():
                await self._answer_ping(message)
            case Report():
                self._observe(message)
            case Bye():
                raise ConnectionEnded(EndReason.BYE)

    def _take_jpeg(self, data: bytes) -> None:
        try:
            frame = parse_jpeg(data)
        except JpegError as exc:
            raise ProtocolError(ErrorCode.BAD_FRAME, str(exc)) from exc
        self._service.take_jpeg(frame)

    async def _answer(self, offer: Offer) -> None:
        negotiation = self._conversation.negotiation
        try:
            answer = await self._service.answer(offer)
        except ProtocolError:
            negotiation.refused(earlier_stays=self._service.media.is_open)
            raise
        negotiation.answered()
        await self._outlet.send(Answer(answer))

    async def _answer_ping(self, ping: Ping) -> None:
        if ping.clock_offset_ms is not None:
            self._service.session.clock_offset_ms = ping.clock_offset_ms
        await self._outlet.send(Pong(ping.id, time.time() * 1000.0))

    def _request_ocr(self) -> None:
        if "ocr" not in available_models(self._inference.engine.models):
            raise ProtocolError(ErrorCode.MODEL_UNAVAILABLE, "this server has no model for ocr")
        self._service.session.pipeline.request_ocr()

    def _observe(self, report: Report) -> None:
        metrics = self._inference.metrics
        if report.render_fps is not None:
            metrics.client_render_fps.observe(report.render_fps)
        if report.result_age_ms is not None:
            metrics.client_result_age.observe(report.result_age_ms / 1000.0)
