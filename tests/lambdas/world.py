"""A small AWS in which the real functions run: moto, a clock that the test moves, a media server, and
calls that fail."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from moto.cloudwatch.models import cloudwatch_backends
from moto.core.models import DEFAULT_ACCOUNT_ID

from lambdas.boot_report import Phase
from lambdas.dev.cloud import REGION, Cloud, settings
from lambdas.dev.ec2 import refusal
from lambdas.heartbeat import METRIC, NAMESPACE
from lambdas.tokens import Audience, InvalidToken, mint, verify
from tests.support.token_vectors import KEYS

EPOCH = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
BOOT = timedelta(minutes=2)


class ServerDouble:
    """The two endpoints that the functions use, as the media server promises them, on a free port."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self.reset()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))
        self._thread.start()

    def reset(self) -> None:
        self.up = False
        self.reachable = True
        self.loaded = True
        self.unready = "loading"
        self.sessions = 0
        self.drained_until: datetime | None = None
        self.refuse_with: int | None = None
        self.keys = KEYS

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    @property
    def draining(self) -> bool:
        return self.drained_until is not None and self._clock() < self.drained_until

    @property
    def accepts(self) -> bool:
        return self.up and self.loaded and not self.draining

    def close(self) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def readyz(self) -> tuple[int, dict[str, Any]]:
        if self.accepts:
            return 200, {"state": "ready"}
        return 503, {"state": "draining" if self.draining else self.unready}

    def drain(self, token: str, request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        try:
            verify(self.keys, Audience.CONTROL, token, self._clock())
        except InvalidToken:
            return 401, {}
        if self.refuse_with is not None:
            return self.refuse_with, {}
        with self._lock:
            if request["if_idle"] and self.sessions:
                return 409, {"sessions": self.sessions}
            self.drained_until = self._clock() + timedelta(seconds=request["for_s"])
            return 200, {"sessions": self.sessions}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.reply(server.readyz)

            def do_POST(self) -> None:
                content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                token = self.headers["Authorization"].removeprefix("Bearer ")
                self.reply(lambda: server.drain(token, content))

            def reply(self, answer: Callable[[], tuple[int, dict[str, Any]]]) -> None:
                if not (server.up and server.reachable):
                    return  # The connection closes without an answer.
                status, body = answer()
                self.send_response(status)
                self.end_headers()
                self.wfile.write(json.dumps(body).encode())

            def log_message(self, *_args: object) -> None:
                pass

        return Handler


class World:
    """One machine, one schedule group, one key set; ``handlers`` are the real functions over them."""

    cloud_type = Cloud

    def __init__(self) -> None:
        self.now = EPOCH
        self.server = ServerDouble(lambda: self.now)
        self.settings = settings(self.server.url)
        self.cloud = self.cloud_type(self.settings, KEYS, lambda: self.now)
        self.handlers = self.cloud.handlers
        self.session = self.cloud.session
        self.ec2 = self.cloud.ec2
        self.cloudwatch = self.session.client("cloudwatch")
        self.scheduler = self.session.client("scheduler")
        self._heartbeats = cloudwatch_backends[DEFAULT_ACCOUNT_ID][REGION]
        self.fault: Callable[[str], None] | None = None
        self.cloud.on_call = self._on_call
        self.cloud.on_enter = self._on_enter
        self.reset()

    def reset(self) -> None:
        """The machine is off and nothing is planned."""
        self.now = EPOCH
        self.server.reset()
        self.fault = None
        self.cloud.rebuild()
        self.forget_reports()
        self.starts = 0
        self.stops: list[tuple[datetime, int]] = []
        """When the machine was stopped, and how many sessions were live."""
        self.cloud.lose_schedule()
        self.clear_heartbeats()

    def advance(self, span: timedelta) -> None:
        """Time passes, and the machine goes on."""
        self.now += span
        self.cloud.catch_up()

    def boot(self) -> None:
        """After a start: time passes until the server is ready."""
        self.advance(BOOT)
        self.server.up = True

    def run(self) -> None:
        """From off to ready by a press of start."""
        self.press("start")
        self.boot()

    def press(self, name: str, user: str = "ada") -> dict[str, Any]:
        """Calls ``start``, ``status`` or ``stop`` as API Gateway does; the body comes back decoded, with
        the HTTP status in ``http``."""
        event = {"requestContext": {"authorizer": {"lambda": {"sub": user}}}}
        answer = getattr(self.handlers, name)(event, None)
        return {"http": answer["statusCode"], **json.loads(answer["body"])}

    def reap(self) -> str:
        return self.handlers.reap({}, None)

    def beat(self, sessions: int, when: datetime | None = None) -> None:
        """The machine reports its sessions. Straight into moto's table: it does so every minute."""
        self._heartbeats.put_metric_data(
            NAMESPACE,
            [
                {
                    "MetricName": METRIC,
                    "Dimensions": [{"Name": "InstanceId", "Value": self.cloud.instance_id}],
                    "Timestamp": (when or self.now).replace(tzinfo=None),
                    "Value": sessions,
                }
            ],
        )

    def report(self, phase: Phase, **more: object) -> None:
        """The machine says how far its start has come."""
        told = {"instance": self.cloud.instance_id, "at": self.now.isoformat(), "phase": phase.value}
        self.cloud.tell(self.settings.boot_report, told | more)

    def forget_reports(self) -> None:
        ssm = self.session.client("ssm")
        ssm.delete_parameters(Names=[self.settings.boot_report, self.settings.start_times])

    def clear_heartbeats(self) -> None:
        self._heartbeats.metric_data.clear()

    @contextmanager
    def failing(self, operation: str, code: str) -> Iterator[None]:
        """Every call of that operation by the functions is refused by AWS."""

        def refuse(called: str) -> None:
            if called == operation:
                raise refusal(code, operation)

        self.fault = refuse
        try:
            yield
        finally:
            self.fault = None

    def api_token(self, life: timedelta = timedelta(hours=1)) -> str:
        return mint(KEYS, Audience.API, "ada", self.now, life)

    def close(self) -> None:
        self.server.close()

    def _on_call(self, operation: str) -> None:
        if self.fault is not None:
            self.fault(operation)

    def _on_enter(self, state: str) -> None:
        if state == "pending":
            self.starts += 1
        if state == "stopping":
            self.stops.append((self.now, self.server.sessions))
        if state != "running":
            self.server.up = False
            self.server.sessions = 0
