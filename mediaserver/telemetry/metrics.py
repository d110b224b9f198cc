"""Every Prometheus metric of the server, in one place."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Literal, TypeAlias

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, values
from prometheus_client.multiprocess import MultiProcessCollector

from inference.engines.contract import EngineError, Task
from signaling.messages import Drop, EndReason, ErrorCode, MediaFailureCause, ResultChannel

_Values: TypeAlias = str | type[StrEnum]
"""Of a label: those of an enumeration, or in words."""

_STAGE_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.035, 0.05, 0.1, 0.2, 0.35, 0.5, 1.0, 2.0, 5.0)
_LAG_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0)


def keep_in_files(directory: Path, worker: int) -> None:
    """Keeps the metrics of this process in files in ``directory`` from now on, for all workers to read.

    The files have the worker's number in their names, not the process's: a restarted worker's counters go on.
    (prometheus_client takes this choice from the variable ``values.ValueClass`` alone.)
    """
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(directory)
    values.ValueClass = values.MultiProcessValue(lambda: worker)  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True)
class MetricDescription:
    """What a metric counts or measures, for `mediaserver.telemetry.document`."""

    name: str
    """As it is scraped, without ``_bucket``, ``_sum`` and ``_count`` of a histogram."""
    kind: str
    """``counter``, ``gauge`` or ``histogram``."""
    text: str
    labels: Mapping[str, str]
    """Each label's name, and its values."""
    workers: str
    """How the values of several workers become one: ``sum``, ``min`` or ``max``."""


class Metrics:
    """The metrics of one process and their registry. Also an `inference.engines.contract.EngineObserver`.

    ``files`` is the directory of `keep_in_files`. The exposition is read from there, for all workers.
    """

    def __init__(self, files: Path | None = None) -> None:
        self.registry = CollectorRegistry()
        self.described: list[MetricDescription] = []
        self._files = files
        counter, gauge, histogram = self._counter, self._gauge, self._histogram
        self.ready = gauge(
            "ready",
            "1 while models answer, sockets are left and no drain runs; else 0.",
            workers="livemin",
        )
        self.load = gauge(
            "load", "Greatest of `load_part`; at 1 no further session has room.", workers="livemax"
        )
        self.load_part = gauge(
            "load_part",
            "Share of a resource in use; 1 is all of it.",
            workers="livemax",
            part="`sessions` (places), `processor`, `event_loop`, "
            "`frame_rate` (frames wanted and not inferred)",
        )
        self.drain_deadline = gauge(
            "drain_deadline_timestamp_seconds",
            "Unix time until which sessions may go on after SIGTERM; 0 without SIGTERM.",
            workers="livemax",
        )
        self.cpu_seconds = counter("cpu_seconds", "Seconds of processor time used by the server.")
        self.connections_open = gauge("connections_open", "Open WebSockets and WHIP publications.")
        refusals = (
            "`loading`, `failed`, `draining`, `full`, `memory`, `sockets`, `overloaded` (503); `origin` (403)"
        )
        self.connections_refused = counter(
            "connections_refused", "WebSocket upgrades and WHIP offers refused.", reason=refusals
        )
        self._sessions_active = gauge("sessions_active", "Deprecated: use `connections_open`.")
        self._sessions_refused = counter(
            "sessions_refused", "Deprecated: use `connections_refused_total`.", reason=refusals
        )
        self.connections_ended = counter(
            "connections_ended", "WebSockets and WHIP publications that ended.", reason=EndReason
        )
        self.sessions_live = gauge(
            "sessions_live", "Sessions with a client, and sessions that wait for a lost client."
        )
        self.sessions_started = counter("sessions_started", "Sessions begun.")
        self.sessions_resumed = counter("sessions_resumed", "Sessions that a client resumed.")
        self.sessions_ended = counter("sessions_ended", "Sessions that ended for good.", reason=EndReason)
        self.protocol_errors = counter("protocol_errors", "Errors sent to clients.", code=ErrorCode)
        self.frames_received = counter(
            "frames_received", "Frames that reached a session.", source="`track` (WebRTC), `jpeg` (WebSocket)"
        )
        self.frames_dropped = counter(
            "frames_dropped",
            "Frames and results dropped.",
            stage=Drop,
            reason="of `sink`: `replaced`; of `receive`: `incomplete`, `undecodable`, `corrupt`, "
            "`decoder_behind`, `superseded`; of `stale`: `before_arrival`, `before_inference`, "
            "`before_send`; of `send`: `congested`",
        )
        self.frames_inferred = counter("frames_inferred", "Frames that went through the pipeline.")
        self.frames_in_flight = gauge("frames_in_flight", "Frames in inference now.")
        self.pipeline_fps = gauge(
            "pipeline_fps", "Frames inferred a second, over all sessions and the last 5 s."
        )
        self.results_sent = counter("results_sent", "Results sent.", channel=ResultChannel)
        self.watchers = gauge("watchers", "WebSockets that watch a session now.")
        self.watcher_results_sent = counter("watcher_results_sent", "Results sent to watchers.")
        self.watcher_results_dropped = counter(
            "watcher_results_dropped", "Results dropped because a watcher read too slowly."
        )
        self.stages_degraded = gauge(
            "stages_degraded",
            "Workers in which this stage gives way to overload.",
            stage="`flow`, `ocr`, `segment`, `pose`, `detect`",
        )
        self.packets_requested = counter("packets_requested", "Lost RTP packets requested again (NACK).")
        self.keyframes_requested = counter("keyframes_requested", "Keyframes requested (PLI).")
        self.media_failures = counter(
            "media_failures", "Peer connections that failed.", cause=MediaFailureCause
        )
        self.socket_failures = counter(
            "socket_failures", "Times that UDP ports or file descriptors were used up, or nearly."
        )
        self.receive_faults = counter("receive_faults", "Exceptions contained in the receive path.")
        self.stage_seconds = histogram(
            "stage_seconds",
            "Seconds that a frame spent in a stage.",
            _STAGE_BUCKETS,
            stage="`wait` (for its turn), `prepare` (scaling), `detect`, `pose`, `segment`, `flow`, `total`",
        )
        self.batch_size = histogram(
            "batch_size", "Frames in one run of a model.", (1, 2, 3, 4, 6, 8, 16), model=Task
        )
        self.batch_seconds = histogram(
            "batch_seconds", "Seconds of one run of a model.", _STAGE_BUCKETS, model=Task
        )
        self.model_errors = counter(
            "model_errors",
            "Runs of a model that failed.",
            model=Task,
            error="`ModelNotLoaded`, `ModelFailed`, `EngineOverloaded`, `DeadlineMissed`, "
            "`EngineUnavailable`",
        )
        endpoint = "an address of `triton_urls`"
        self.endpoint_ready = gauge(
            "endpoint_ready",
            "1 if the Triton at this address can be used; else 0.",
            workers="livemin",
            endpoint=endpoint,
        )
        self.endpoint_shared_memory = gauge(
            "endpoint_shared_memory",
            "1 if Triton reads frames from shared memory; 0 if frames go by gRPC.",
            workers="livemin",
            endpoint=endpoint,
        )
        self.event_loop_lag = histogram(
            "event_loop_lag_seconds", "Lateness of a timer of the event loop, in seconds.", _LAG_BUCKETS
        )
        self.client_render_fps = histogram(
            "client_render_fps",
            "Frames a second that a client draws, as clients report it.",
            (5, 10, 15, 24, 30, 45, 60, 120),
        )
        self.client_result_age = histogram(
            "client_result_age_seconds",
            "Seconds from a frame's capture to its result in the client, as clients report it.",
            _STAGE_BUCKETS,
        )

    @contextlib.contextmanager
    def connection(self) -> Iterator[None]:
        """Counts a client as connected while the ``with`` block runs."""
        with self.connections_open.track_inprogress(), self._sessions_active.track_inprogress():
            yield

    def connection_refused(self, reason: str) -> None:
        """Counts a refused upgrade."""
        self.connections_refused.labels(reason).inc()
        self._sessions_refused.labels(reason).inc()

    def batch_done(self, task: Task, size: int, seconds: float) -> None:
        """Counts one run of a model."""
        self.batch_size.labels(task).observe(size)
        self.batch_seconds.labels(task).observe(seconds)

    def batch_failed(self, task: Task, size: int, error: EngineError) -> None:
        """Counts one failed run of a model, of any size."""
        self.model_errors.labels(task, type(error).__name__).inc()

    def endpoint_seen(self, endpoint: str, *, ready: bool, shares_memory: bool) -> None:
        """Sets the state of a Triton as it was last seen."""
        self.endpoint_ready.labels(endpoint).set(ready)
        self.endpoint_shared_memory.labels(endpoint).set(shares_memory)

    def frames_inferred_so_far(self) -> float:
        """The value of ``mediaserver_frames_inferred_total``."""
        return self.registry.get_sample_value("mediaserver_frames_inferred_total") or 0.0

    def exposition(self) -> bytes:
        """Returns the metrics of all workers in Prometheus' text format. It may read files."""
        if self._files is None:
            return generate_latest(self.registry)
        merged = CollectorRegistry()
        MultiProcessCollector(merged, str(self._files))  # type: ignore[no-untyped-call]
        return generate_latest(merged)

    def _counter(self, name: str, text: str, **labels: _Values) -> Counter:
        self._describe(f"{name}_total", "counter", text, labels)
        return Counter(f"mediaserver_{name}", text, tuple(labels), registry=self.registry)

    def _gauge(
        self,
        name: str,
        text: str,
        *,
        workers: Literal["livesum", "livemin", "livemax"] = "livesum",
        **labels: _Values,
    ) -> Gauge:
        """``workers`` merges the values of live workers; a dead worker's value is left out."""
        self._describe(name, "gauge", text, labels, workers.removeprefix("live"))
        return Gauge(
            f"mediaserver_{name}", text, tuple(labels), registry=self.registry, multiprocess_mode=workers
        )

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], **labels: _Values) -> Histogram:
        self._describe(name, "histogram", text, labels)
        return Histogram(f"mediaserver_{name}", text, tuple(labels), buckets=buckets, registry=self.registry)

    def _describe(
        self, name: str, kind: str, text: str, labels: Mapping[str, _Values], workers: str = "sum"
    ) -> None:
        values = {
            label: value if isinstance(value, str) else _listed(value) for label, value in labels.items()
        }
        self.described.append(MetricDescription(f"mediaserver_{name}", kind, text, values, workers))


def _listed(values: type[StrEnum]) -> str:
    return ", ".join(f"`{value}`" for value in values)
