"""One client on one socket, from ``hello`` to ``closing``."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import Coroutine
from typing import Any

from aiortc import RTCDataChannel

from mediaserver.session.liveness import Liveness
from mediaserver.session.options import available_models, configured, default_options
from mediaserver.session.rate_control import Observation, RateControl
from mediaserver.session.registry import SessionRegistry
from mediaserver.session.results import ResultSender
from mediaserver.session.session import Inference, Session
from mediaserver.session.welcome import authorize, welcome
from mediaserver.telemetry.logs import fields
from mediaserver.webrtc.peer import Peer
from mediaserver.webrtc.receiver import DropReason, ReceivedFrame
from signaling.jpeg import JpegError, parse_jpeg
from signaling.messages import (
    Answer,
    Bye,
    Candidate,
    ClientMessage,
    Closing,
    Configure,
    EndReason,
    Error,
    ErrorCode,
    Event,
    Hello,
    Offer,
    Ping,
    PipelineConfig,
    Pong,
    ProtocolError,
    Report,
    Result,
    ServerMessage,
    Trigger,
)
from signaling.negotiation import Negotiation
from signaling.rate_limit import RateLimit
from signaling.websocket import SignalingSocket, SocketClosed

_WATCH_INTERVAL_S = 0.25
_RATE_INTERVAL_S = 1.0
_ERRORS_PER_S, _ERROR_BURST = 1.0, 20.0

_RETRY_AFTER_S: dict[EndReason, float | None] = {
    EndReason.BYE: None,
    EndReason.PROTOCOL_ERROR: None,
    EndReason.UNAUTHORIZED: None,
    EndReason.REPLACED: None,
    EndReason.SERVER_SHUTDOWN: 2.0,
    EndReason.INTERNAL_ERROR: 1.0,
}
"""When a client may try again; at once for the reasons that are not here, never for ``None``."""

_FINAL = frozenset(
    {EndReason.BYE, EndReason.UNAUTHORIZED, EndReason.SERVER_SHUTDOWN, EndReason.PROTOCOL_ERROR}
)
"""Ends after which the session cannot be resumed."""

logger = logging.getLogger(__name__)


class Connection:
    """Reads messages, runs the session and its peer, watches liveness. Owns every task it starts."""

    def __init__(self, socket: SignalingSocket, inference: Inference, sessions: SessionRegistry) -> None:
        self._socket = socket
        self._inference = inference
        self._sessions = sessions
        self._settings = inference.settings
        self._metrics = inference.metrics
        self._negotiation = Negotiation()
        self._error_limit = RateLimit(_ERRORS_PER_S, _ERROR_BURST)
        self._ended: asyncio.Future[EndReason] = asyncio.get_running_loop().create_future()
        self._tasks: asyncio.TaskGroup | None = None
        self._running: set[asyncio.Task[None]] = set()
        self._began = time.monotonic()
        self._liveness = Liveness(
            self._began,
            media_timeout_s=self._settings.liveness_timeout_s,
            no_media_timeout_s=self._settings.no_media_timeout_s,
        )
        self._dropped_before: Counter[DropReason] = Counter()
        self._session: Session | None = None
        self._peer: Peer | None = None
        self._camera_framerate: float | None = None
        self._results: ResultSender | None = None

    def end(self, reason: EndReason) -> None:
        """Asks the connection to end; the first reason stands."""
        if not self._ended.done():
            self._ended.set_result(reason)

    async def run(self) -> None:
        """Serves the client until one side ends it; everything is released when this returns."""
        reason = EndReason.INTERNAL_ERROR
        try:
            async with asyncio.TaskGroup() as self._tasks:
                self._start(self._read())
                self._start(self._watch())
                if self._settings.rate_hints:
                    self._start(self._hint_rate())
                reason = await self._ended
                for task in self._running:
                    task.cancel()
        finally:
            await self._release(reason)

    # --- output: `mediaserver.session.session.Outlet` ---

    async def send(self, message: ServerMessage) -> None:
        """Sends what must arrive."""
        await self._socket.send(message)

    async def send_result(self, result: Result) -> bool:
        """Sends what may be lost; false when it was dropped."""
        assert self._results is not None, "a session runs only after hello"
        channel = await self._results.send(result)
        if channel is None:
            return False
        self._metrics.results_sent.labels(channel).inc()
        return True

    # --- tasks ---

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        assert self._tasks is not None
        task = self._tasks.create_task(self._guarded(work))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        """An error in one task ends this connection with a reason, and nothing else."""
        try:
            await work
        except SocketClosed as exc:
            self.end(exc.reason)
        except Exception:
            logger.exception("connection failed")
            self.end(EndReason.INTERNAL_ERROR)

    async def _read(self) -> None:
        while not self._ended.done():
            try:
                message = await self._socket.receive()
                if isinstance(message, bytes):
                    self._take_jpeg(message)
                else:
                    self._negotiation.receive(message)
                    await self._handle(message)
            except ProtocolError as exc:
                await self._refuse(exc)

    async def _watch(self) -> None:
        """Ends the connection when it fell silent; keeps the count of what was lost on the way here."""
        while True:
            await asyncio.sleep(_WATCH_INTERVAL_S)
            self._look_at_receiver()
            reason = self._liveness.verdict(time.monotonic())
            if reason is not None:
                self.end(reason)

    async def _tell_state(self) -> None:
        """Tells the client when the engine is out of reach, and when it is there again."""
        told = "ready"
        while True:
            state = "ready" if self._inference.engine.trouble is None else "degraded"
            if state != told:
                await self.send(Event("state", state=state))
                told = state
            await asyncio.sleep(_WATCH_INTERVAL_S)

    def _look_at_receiver(self) -> None:
        if self._peer is None or self._peer.receiver is None or self._session is None:
            return
        stats = self._peer.receiver.stats
        if stats.last_packet is not None:
            self._liveness.heard_media(stats.last_packet)
        for reason, count in (Counter(stats.dropped) - self._dropped_before).items():
            self._session.count_drop("receive", reason, count)
        self._dropped_before = Counter(stats.dropped)

    async def _hint_rate(self) -> None:
        control = RateControl()
        while True:
            await asyncio.sleep(_RATE_INTERVAL_S)
            session = self._session
            if session is None:
                continue
            sink, ocr = session.sink, session.pipeline.options.ocr
            seen = Observation(sink.received, session.inferred, *sink.size, ocr, self._camera_framerate)
            hint = control.observe(time.monotonic(), seen)
            if hint is not None:
                await self.send(hint)

    # --- input ---

    async def _handle(self, message: ClientMessage) -> None:
        match message:
            case Hello():
                await self._welcome(message)
            case Offer():
                await self._answer(message)
            case Candidate():
                assert self._peer is not None, "the negotiation lets candidates in only after an answer"
                await self._peer.add_candidate(message.candidate)
            case Configure():
                self._configure(message.pipeline)
            case Trigger():
                self._request_ocr()
            case Ping():
                await self.send(Pong(message.id, time.time() * 1000.0))
            case Report():
                self._observe(message)
            case Bye():
                self.end(EndReason.BYE)

    async def _welcome(self, hello: Hello) -> None:
        authorize(hello, self._settings, self._sessions)
        models = self._inference.engine.models
        session = self._sessions.resume(hello.resume, self._replaced) if hello.resume else None
        resumed = session is not None
        if session is None:
            session = Session(self._inference, default_options(self._settings, models))
            if not self._sessions.add(session, self._replaced):
                self.end(EndReason.SERVER_SHUTDOWN)
                return
        self._session = session
        self._liveness.welcomed(time.monotonic())
        self._results = ResultSender(self._socket, hello.channel)
        (self._metrics.sessions_resumed if resumed else self._metrics.sessions_started).inc()
        logger.info("session started", extra=fields(session=session.id, resumed=resumed))
        await self.send(welcome(session, self._settings, models, resumed=resumed))
        self._start(session.run(self))
        self._start(self._tell_state())
        self._configure(hello.pipeline)

    async def _answer(self, offer: Offer) -> None:
        """Answers with a new peer connection; one of an earlier offer is closed first."""
        session = self._welcomed()
        await self._close_peer()
        self._peer = Peer(
            threads=self._inference.decode_threads,
            on_frame=self._take_track_frame,
            on_results_channel=self._use_data_channel,
            on_failed=self._media_failed,
            interfaces=self._settings.ice_interfaces,
            public_ip=self._settings.public_ip,
        )
        try:
            answer = await self._peer.answer(offer.sdp)
        except ProtocolError:
            self._negotiation.refused()
            await self._close_peer()
            raise
        self._camera_framerate = offer.camera_framerate
        session.sink.start_track()
        self._liveness.expect_media(time.monotonic())
        self._negotiation.answered()
        await self.send(Answer(answer))

    def _configure(self, config: PipelineConfig) -> None:
        pipeline = self._welcomed().pipeline
        options, missing = configured(pipeline.options, config, self._inference.engine.models)
        pipeline.configure(options)
        if missing:
            raise ProtocolError(
                ErrorCode.MODEL_UNAVAILABLE, f"this server has no model for {', '.join(missing)}"
            )

    def _request_ocr(self) -> None:
        if "ocr" not in available_models(self._inference.engine.models):
            raise ProtocolError(ErrorCode.MODEL_UNAVAILABLE, "this server has no model for ocr")
        self._welcomed().pipeline.request_ocr()

    def _take_jpeg(self, data: bytes) -> None:
        self._negotiation.receive_frame()
        try:
            frame = parse_jpeg(data)
        except JpegError as exc:
            raise ProtocolError(ErrorCode.BAD_FRAME, str(exc)) from exc
        self._liveness.heard_media(time.monotonic())
        self._welcomed().sink.put_jpeg(frame)

    def _take_track_frame(self, frame: ReceivedFrame) -> None:
        """A connection that ends no longer owns the session, though its peer may send for a moment."""
        if not self._ended.done():
            self._welcomed().sink.put_track_frame(frame)

    def _observe(self, report: Report) -> None:
        if report.render_fps is not None:
            self._metrics.client_render_fps.observe(report.render_fps)
        if report.result_age_ms is not None:
            self._metrics.client_result_age.observe(report.result_age_ms / 1000.0)

    def _welcomed(self) -> Session:
        assert self._session is not None, "the negotiation lets only hello in before this"
        return self._session

    async def _refuse(self, error: ProtocolError) -> None:
        self._metrics.protocol_errors.labels(error.code).inc()
        await self.send(Error(error.code, error.message, error.fatal))
        if error.code is ErrorCode.UNAUTHORIZED:
            self.end(EndReason.UNAUTHORIZED)
        elif error.fatal or not self._error_limit.allows(time.monotonic()):
            self.end(EndReason.PROTOCOL_ERROR)

    # --- the peer ---

    def _use_data_channel(self, channel: RTCDataChannel) -> None:
        assert self._results is not None
        self._results.use(channel)

    def _media_failed(self) -> None:
        """The client may go on with JPEG frames, or offer again; if it does neither, liveness ends it."""
        if not self._ended.done():
            self._start(self.send(Event("state", state="media_failed")))

    def _replaced(self) -> None:
        self.end(EndReason.REPLACED)

    async def _close_peer(self) -> None:
        if self._peer is not None:
            self._look_at_receiver()
            if self._results is not None:
                self._results.use(None)
            await self._peer.close()
            self._peer = None
            self._dropped_before.clear()

    # --- the end ---

    async def _release(self, reason: EndReason) -> None:
        self._negotiation.close()
        try:
            with contextlib.suppress(SocketClosed):
                await self._socket.send(Closing(reason, _RETRY_AFTER_S.get(reason, 0.0)))
            await self._close_peer()
            await self._socket.close()
        finally:
            self._let_go(reason)

    def _let_go(self, reason: EndReason) -> None:
        """The session waits for its client to come back, or is over; the end is counted and logged."""
        self._metrics.sessions_ended.labels(reason).inc()
        seconds = round(time.monotonic() - self._began, 1)
        session = self._session
        if session is None:
            logger.info("connection without a session ended", extra=fields(reason=reason, seconds=seconds))
            return
        self._sessions.release(session, self._replaced, resumable=reason not in _FINAL)
        logger.info(
            "session ended",
            extra=fields(
                session=session.id,
                reason=reason,
                seconds=seconds,
                frames=session.sink.received,
                results=session.results_sent,
                dropped=session.dropped,
            ),
        )
