"""The tasks that run for each session with a client, by WebSocket or WHIP."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial

from inference.stages import Stage
from mediaserver.session.ending import ConnectionEnded, Ending
from mediaserver.session.liveness import Liveness
from mediaserver.session.media_link import MediaLink
from mediaserver.session.options import configured, model_unavailable
from mediaserver.session.outlet import Outlet
from mediaserver.session.session import Inference, Session
from signaling.jpeg import JpegFrame
from signaling.messages import EndReason, ErrorCode, Offer, ProtocolError, ServerState, StateEvent
from signaling.pipeline_config import PipelineConfig
from signaling.rate_limit import RateLimit

_WATCH_INTERVAL_S = 0.25
_STANDSTILL_S = 0.5
_OFFERS_PER_S, _OFFER_BURST = 0.5, 6.0
"""Limit of offers. A client offers again when its network or its camera changes."""


class Service:
    """Runs ``session`` with the media of its client, and watches the liveness of both.

    ``last_event_id`` is the id of the newest event that the client reports to have received, if any.
    """

    def __init__(
        self,
        session: Session,
        media: MediaLink,
        outlet: Outlet,
        inference: Inference,
        ending: Ending,
        *,
        last_event_id: int | None = None,
    ) -> None:
        self.session = session
        self.media = media
        self._began = time.monotonic()
        media.attach(outlet, ending)
        self._outlet = outlet
        self._inference = inference
        self._ending = ending
        self._last_event_id = last_event_id
        self._jpeg_at: float | None = None
        """Arrival of the newest JPEG frame, in `time.monotonic` seconds."""
        self._frames_before = session.sink.received
        """Frames that came before the media that is waited for."""
        self._offer_limit = RateLimit(_OFFERS_PER_S, _OFFER_BURST)
        self._liveness = Liveness(
            time.monotonic(),
            # In lock-step the client sends the next frame only after it has handled a result.
            media_timeout_s=inference.settings.pause_timeout_s
            if session.every_frame
            else inference.settings.liveness_timeout_s,
            no_media_timeout_s=inference.settings.no_media_timeout_s,
            pause_timeout_s=inference.settings.pause_timeout_s,
        )

    async def run(self, *parts: Callable[[], Awaitable[None]]) -> None:
        """Serves the client until cancelled, which follows a request for the end.

        ``parts`` are further tasks for the client's kind of connection.
        """
        common: tuple[Callable[[], Awaitable[None]], ...] = (
            partial(self.session.run, self._outlet),
            self._tell_events,
            self._tell_state,
            self._tell_media_failure,
            self._watch_liveness,
        )
        if not self.session.every_frame:
            common += (self._look_for_sender,)
        async with asyncio.TaskGroup() as tasks:
            for part in (*common, *parts):
                tasks.create_task(self._ending.guard(part))

    async def close(self, *, keep_media: bool) -> None:
        """Closes the peer connection, unless ``keep_media``, and detaches the media."""
        if not keep_media and self.media.is_attached_to(self._ending):
            await self.media.close()
        self.media.detach(self._ending)

    def go_on(self) -> None:
        """Continues with media that arrives already, and begins to judge its silence."""
        self._liveness.heard_media(time.monotonic())

    async def answer(self, offer: Offer) -> str:
        """Makes a new peer connection for an SDP offer, and returns its answer. Raises `ProtocolError`."""
        if self.session.every_frame:
            raise ProtocolError(ErrorCode.UNEXPECTED_MESSAGE, "in lock-step frames come as JPEG")
        if not self._offer_limit.allows(time.monotonic()):
            raise ProtocolError(ErrorCode.RATE_LIMITED, "too many offers; wait some seconds")
        await self._inference.peer_pace.turn()
        answer = await self.media.answer(offer)
        self._frames_before = self.session.sink.received
        self._liveness.expect_media(time.monotonic())
        return answer

    def take_jpeg(self, frame: JpegFrame) -> None:
        """Takes a JPEG frame, which came over the socket."""
        self._jpeg_at = time.monotonic()
        self._liveness.heard_media(self._jpeg_at)
        self._ending.suspect(None)  # the client goes on without WebRTC
        self.session.sink.put_jpeg(frame)

    def configure(self, config: PipelineConfig) -> None:
        """Changes the options. Raises `ProtocolError` for a missing model; other changes take effect."""
        pipeline = self.session.pipeline
        options, missing = configured(pipeline.options, config, self._inference.engine.models)
        pipeline.configure(options)
        if missing:
            raise model_unavailable(missing)

    # --- tasks ---

    async def _watch_liveness(self) -> None:
        while True:
            began = time.monotonic()
            await asyncio.sleep(_WATCH_INTERVAL_S)
            late_s = time.monotonic() - began - _WATCH_INTERVAL_S
            if late_s > _STANDSTILL_S:
                self._liveness.stood_still(late_s)
            packet_at = self.media.last_packet
            # Packets that never become a frame are no media. Packets of an earlier connection do not count.
            has_frame = self.session.sink.received > self._frames_before
            if packet_at is not None and packet_at > self._began and has_frame:
                self._liveness.heard_media(packet_at)
            reason = self._liveness.verdict(time.monotonic())
            if reason is not None:
                self.media.give_up()
                raise ConnectionEnded(reason)
            if self._outlet.is_forsaken:
                raise ConnectionEnded(EndReason.PING_TIMEOUT)

    async def _look_for_sender(self) -> None:
        """Checks the sender while no media comes: the camera may be off, or the path dead."""
        while True:
            await asyncio.sleep(_WATCH_INTERVAL_S)
            if self._liveness.is_sender_wanted(time.monotonic()) and await self._is_sender_there():
                self._liveness.heard_sender(time.monotonic())

    async def _is_sender_there(self) -> bool:
        packet_at = self.media.last_packet
        if packet_at is None or (self._jpeg_at is not None and self._jpeg_at > packet_at):
            return True  # frames come over the socket, which has pings of its own
        return await self.media.answers()

    async def _tell_events(self) -> None:
        """Sends events in order. In a resumed session, events lost with the last connection come first."""
        events = self.session.events
        last_id = events.told_id if self._last_event_id is None else min(self._last_event_id, events.told_id)
        while True:
            for event in await events.after(last_id):
                is_told, last_id = event.id <= events.told_id, event.id
                events.told_id = max(events.told_id, event.id)
                await (self._outlet.send_again(event) if is_told else self._outlet.send(event))

    async def _tell_state(self) -> None:
        """Sends ``state`` when it changes: frames pause, the engine is unavailable, or stages are reduced."""
        told: tuple[ServerState, list[Stage]] = ServerState.READY, []
        while True:
            state, degraded = self._state(), self.session.degraded
            if (state, degraded) != told:
                event = StateEvent(state)
                if degraded or told[1]:
                    event.degraded = [stage.value for stage in degraded]
                await self._outlet.send(event)
                told = state, degraded
            await asyncio.sleep(_WATCH_INTERVAL_S)

    def _state(self) -> ServerState:
        if self._liveness.is_paused(time.monotonic()):
            return ServerState.PAUSED
        return ServerState.READY if self._inference.engine.trouble is None else ServerState.DEGRADED

    async def _tell_media_failure(self) -> None:
        """Sends ``media_failed``. The client may send JPEG frames or a new offer, else liveness ends it."""
        while True:
            await self.media.failed.wait()
            self.media.failed.clear()
            failure = self.media.failure
            event = StateEvent(ServerState.MEDIA_FAILED)
            if failure is not None:
                event.cause, event.message = failure
            await self._outlet.send(event)
