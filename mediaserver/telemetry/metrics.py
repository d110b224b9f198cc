"""Every Prometheus metric of the server, in one place."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, values
from prometheus_client.multiprocess import MultiProcessCollector

from inference.engines.contract import EngineError, Task

_STAGE_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.035, 0.05, 0.1, 0.2, 0.35, 0.5, 1.0, 2.0, 5.0)
_LAG_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0)


def keep_in_files(directory: Path, worker: int) -> None:
    """From now on the metrics of this process are kept in files in ``directory``, for all workers to read.

    The files are named after the worker, not the process, so that counters go on where a process that died
    left them. (prometheus_client's way of being told so is this variable of its module.)
    """
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(directory)
    values.ValueClass = values.MultiProcessValue(lambda: worker)  # type: ignore[no-untyped-call]


class Metrics:
    """The metrics of one process and their registry. Also an `inference.engines.contract.EngineObserver`.

    ``files`` is the directory of `keep_in_files`, where the metrics of all workers are read from.
    """

    def __init__(self, files: Path | None = None) -> None:
        self.registry = CollectorRegistry()
        self._files = files
        counter, gauge, histogram = self._counter, self._gauge, self._histogram
        self.ready = gauge("ready", "1 while sessions are taken and models answer.", workers="livemin")
        self.cpu_seconds = counter("cpu_seconds", "Processor time used.")
        self.connections_open = gauge("connections_open", "WebSockets that are open now.")
        self.connections_refused = counter("connections_refused", "Upgrades refused (503, 403).", "reason")
        self._sessions_active = gauge("sessions_active", "Deprecated: connections_open.")
        self._sessions_refused = counter("sessions_refused", "Deprecated: connections_refused.", "reason")
        self.connections_ended = counter("connections_ended", "WebSockets that have ended.", "reason")
        self.sessions_live = gauge("sessions_live", "Sessions with a client, or waiting for a lost one.")
        self.sessions_started = counter("sessions_started", "Sessions begun.")
        self.sessions_resumed = counter("sessions_resumed", "Sessions that a client came back to.")
        self.sessions_ended = counter("sessions_ended", "Sessions that are over.", "reason")
        self.protocol_errors = counter("protocol_errors", "Errors sent to clients.", "code")
        self.frames_received = counter("frames_received", "Frames that reached a sink.", "source")
        self.frames_dropped = counter("frames_dropped", "Frames or results dropped.", "stage", "reason")
        self.frames_inferred = counter("frames_inferred", "Frames that went through the pipeline.")
        self.frames_in_flight = gauge("frames_in_flight", "Frames in inference now.")
        self.pipeline_fps = gauge("pipeline_fps", "Frames inferred a second over all sessions, last 5 s.")
        self.results_sent = counter("results_sent", "Results sent.", "channel")
        self.packets_requested = counter("packets_requested", "Lost RTP packets asked for again (NACK).")
        self.keyframes_requested = counter("keyframes_requested", "Keyframes asked for (PLI).")
        self.receive_faults = counter("receive_faults", "Exceptions contained in the receive path.")
        self.stage_seconds = histogram(
            "stage_seconds", "Time that a frame spent in a stage.", _STAGE_BUCKETS, "stage"
        )
        self.batch_size = histogram(
            "batch_size", "Frames in one run of a model.", (1, 2, 3, 4, 6, 8, 16), "model"
        )
        self.batch_seconds = histogram("batch_seconds", "One run of a model.", _STAGE_BUCKETS, "model")
        self.model_errors = counter("model_errors", "Runs of a model that failed.", "model", "error")
        self.endpoint_ready = gauge(
            "endpoint_ready", "1 where a Triton can be used.", "endpoint", workers="livemin"
        )
        self.event_loop_lag = histogram("event_loop_lag_seconds", "Lateness of a timer.", _LAG_BUCKETS)
        self.client_render_fps = histogram(
            "client_render_fps", "Frames a second that clients draw.", (5, 10, 15, 24, 30, 45, 60, 120)
        )
        self.client_result_age = histogram(
            "client_result_age_seconds", "Age of results as clients see it.", _STAGE_BUCKETS
        )

    @contextlib.contextmanager
    def connection(self) -> Iterator[None]:
        """Counts a WebSocket as open, inside the ``with`` block."""
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
        """Counts one failed run of a model, whatever its size."""
        self.model_errors.labels(task, type(error).__name__).inc()

    def endpoint_seen(self, endpoint: str, *, ready: bool) -> None:
        """Keeps the last state of a server that runs models."""
        self.endpoint_ready.labels(endpoint).set(ready)

    def frames_inferred_so_far(self) -> float:
        """The value of ``mediaserver_frames_inferred_total``."""
        return self.registry.get_sample_value("mediaserver_frames_inferred_total") or 0.0

    def exposition(self) -> bytes:
        """All metrics, of all workers, in Prometheus' text format. May read files."""
        if self._files is None:
            return generate_latest(self.registry)
        merged = CollectorRegistry()
        MultiProcessCollector(merged, str(self._files))  # type: ignore[no-untyped-call]
        return generate_latest(merged)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"mediaserver_{name}", text, labels, registry=self.registry)

    def _gauge(
        self, name: str, text: str, *labels: str, workers: Literal["livesum", "livemin"] = "livesum"
    ) -> Gauge:
        """``workers`` is what becomes of the values of several: those of dead ones do not count."""
        return Gauge(f"mediaserver_{name}", text, labels, registry=self.registry, multiprocess_mode=workers)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"mediaserver_{name}", text, labels, buckets=buckets, registry=self.registry)
