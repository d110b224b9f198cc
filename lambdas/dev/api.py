"""The HTTP API over the functions, as API Gateway would do it, the page, and the firing of schedules.

Beside ``/start``, ``/status`` and ``/stop`` there is ``POST /dev/advance?minutes=N``. It moves the clock on
minute by minute, so that everything that is due in between happens.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from lambdas.dev.cloud import Cloud
from lambdas.errors import LifecycleError

REAPER_PERIOD = timedelta(minutes=30)
_MAX_BODY = 1024
MAX_ADVANCE_MINUTES = 24 * 60
WEB = Path(__file__).parents[2] / "web"
_API_PATHS = {"/start", "/status", "/stop", "/dev/advance"}

_log = logging.getLogger(__name__)


class Clock:
    """Real time plus the time that was added."""

    def __init__(self) -> None:
        self._ahead = timedelta(0)

    def __call__(self) -> datetime:
        """Now, in UTC."""
        return datetime.now(UTC) + self._ahead

    def advance(self, span: timedelta) -> None:
        """Moves the clock on; a negative span does nothing."""
        self._ahead += max(span, timedelta(0))


class Timetable:
    """Fires the one-time schedule when it is due, and the reaper in its period."""

    def __init__(self, cloud: Cloud, clock: Clock) -> None:
        self._cloud = cloud
        self._clock = clock
        self._lock = threading.Lock()
        self._next_reaper = clock() + REAPER_PERIOD
        self._fired: datetime | None = None

    def advance(self, minutes: int) -> None:
        """Moves the clock on, minute by minute."""
        for _ in range(minutes):
            self._clock.advance(timedelta(minutes=1))
            self.catch_up()

    def catch_up(self) -> None:
        """Does everything that is due by now."""
        with self._lock:
            self._cloud.catch_up()
            now, due = self._clock(), self._cloud.due
            if due is not None and due != self._fired and due <= now:
                # A one-time schedule fires once; moving it arms it again.
                self._fired = due
                self._reap()
            if now >= self._next_reaper:
                self._next_reaper = now + REAPER_PERIOD
                self._reap()

    def _reap(self) -> None:
        try:
            self._cloud.handlers.reap({}, None)
        except LifecycleError as error:
            _log.warning("reap failed: %s", error)


class Api:
    """Serves on ``127.0.0.1`` until `close`; ``port`` 0 takes a free one."""

    def __init__(self, cloud: Cloud, clock: Clock, port: int = 0) -> None:
        self._timetable = Timetable(cloud, clock)
        self._cloud = cloud
        self._closed = threading.Event()
        self._http = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._threads = [
            threading.Thread(target=self._http.serve_forever, args=(0.05,), name="api"),
            threading.Thread(target=self._keep_time, name="timetable"),
        ]
        for thread in self._threads:
            thread.start()

    @property
    def url(self) -> str:
        """The page's URL, also in its ``/config.json``."""
        return f"http://127.0.0.1:{self._http.server_port}"

    def close(self) -> None:
        """Stops serving. Idempotent."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._http.shutdown()
        for thread in self._threads:
            thread.join()
        self._http.server_close()

    def answer(self, method: str, target: str, authorization: str, body: str = "") -> tuple[int, str]:
        """Returns status and JSON body for one request."""
        self._timetable.catch_up()
        url = urlsplit(target)
        if (method, url.path) == ("POST", "/dev/advance"):
            return self._advance(parse_qs(url.query).get("minutes", [""])[0])
        handlers = self._cloud.handlers
        routes = {
            ("POST", "/start"): handlers.start,
            ("GET", "/status"): handlers.status,
            ("POST", "/stop"): handlers.stop,
        }
        function = routes.get((method, url.path))
        if function is None:
            return 404, '{"message": "Not Found"}'
        verdict = handlers.authorize({"headers": {"authorization": authorization}}, None)
        if not verdict["isAuthorized"]:
            return 403, '{"message": "Forbidden"}'
        event = {"requestContext": {"authorizer": {"lambda": verdict["context"]}}, "body": body}
        answer = function(event, None)
        return answer["statusCode"], answer["body"]

    def _advance(self, minutes: str) -> tuple[int, str]:
        if not minutes.isdecimal() or int(minutes) > MAX_ADVANCE_MINUTES:
            return 400, json.dumps({"message": f"minutes must be 0..{MAX_ADVANCE_MINUTES}"})
        self._timetable.advance(int(minutes))
        return 200, json.dumps({"machine": self._cloud.state})

    def _keep_time(self) -> None:
        while not self._closed.wait(1):
            self._timetable.catch_up()

    def _handler(self) -> Callable[..., SimpleHTTPRequestHandler]:
        api = self

        class Handler(SimpleHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/config.json":
                    self._reply(200, json.dumps({"api": api.url}))
                elif urlsplit(self.path).path in _API_PATHS:
                    self.do_POST()
                else:
                    super().do_GET()

            def do_POST(self) -> None:
                length = min(int(self.headers.get("Content-Length", "0")), _MAX_BODY)
                body = self.rfile.read(length).decode(errors="replace")
                authorization = self.headers.get("Authorization", "")
                self._reply(*api.answer(self.command, self.path, authorization, body))

            def do_OPTIONS(self) -> None:
                self._reply(200, "")

            def _reply(self, status: int, body: str) -> None:
                self.send_response(status)
                # The template allows the page alone; here each local page may try.
                self.send_header("Access-Control-Allow-Origin", "*")
                self.send_header("Access-Control-Allow-Headers", "authorization, content-type")
                self.send_header("Access-Control-Allow-Methods", "GET, POST")
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(body.encode())

            def end_headers(self) -> None:
                self.send_header("Cache-Control", "no-store")
                super().end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                _log.debug(format, *args)

        return partial(Handler, directory=str(WEB))
