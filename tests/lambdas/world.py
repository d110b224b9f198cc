"""A small AWS in which the real functions run: moto, a clock that the test moves, and a media server.

moto keeps the records; what it leaves out is added here: machines take their time to start and stop,
schedules fire, and calls can fail.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
from botocore.exceptions import ClientError
from moto.cloudwatch.models import cloudwatch_backends
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.ec2.models import ec2_backends
from moto.scheduler.models import scheduler_backends

from lambdas.handlers import Handlers
from lambdas.heartbeat import METRIC, NAMESPACE
from lambdas.settings import Settings
from lambdas.tokens import Audience, InvalidToken, mint, verify
from lambdas.wiring import connect

REGION = "eu-central-1"
STACK = "test"
GROUP = "mediaserver"
SECRET = "mediaserver-keys"
KEYS = {"k1": "an old key of more than 32 bytes!!", "k2": "a new key of more than 32 bytes!!!"}
EPOCH = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
BOOT = timedelta(minutes=2)
SHUTDOWN = timedelta(minutes=1)
ROLE = "arn:aws:iam::123456789012:role/mediaserver-scheduler"
REAPER = "arn:aws:lambda:eu-central-1:123456789012:function:test-reaper"

_EC2_CODES = {"pending": 0, "running": 16, "stopping": 64, "stopped": 80}


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
        self.sessions = 0
        self.drained_until: datetime | None = None
        self.refuse_with: int | None = None

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
        return (200, {}) if self.accepts else (503, {"draining": self.draining})

    def drain(self, token: str, request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        try:
            verify(KEYS, Audience.CONTROL, token, self._clock())
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

    def __init__(self) -> None:
        self.now = EPOCH
        self.server = ServerDouble(lambda: self.now)
        self.session = boto3.Session("testing", "testing", region_name=REGION)
        self.ec2 = self.session.client("ec2")
        self.cloudwatch = self.session.client("cloudwatch")
        self.scheduler = self.session.client("scheduler")
        self.settings = Settings(
            stack=STACK,
            server_url=self.server.url,
            schedule_group=GROUP,
            reaper_arn=REAPER,
            scheduler_role_arn=ROLE,
            keys_secret=SECRET,
            idle=timedelta(minutes=15),
            max_run=timedelta(hours=8),
            boot=timedelta(minutes=3),
            boot_limit=timedelta(minutes=10),
            token_life=timedelta(minutes=15),
        )
        image = self.ec2.describe_images()["Images"][0]["ImageId"]
        reservation = self.ec2.run_instances(
            ImageId=image,
            MinCount=1,
            MaxCount=1,
            TagSpecifications=[
                {"ResourceType": "instance", "Tags": [{"Key": "mediaserver:stack", "Value": STACK}]}
            ],
        )
        self.instance_id: str = reservation["Instances"][0]["InstanceId"]
        self.scheduler.create_schedule_group(Name=GROUP)
        self.session.client("secretsmanager").create_secret(Name=SECRET, SecretString=json.dumps(KEYS))
        self._instance = ec2_backends[DEFAULT_ACCOUNT_ID][REGION].get_instance(self.instance_id)
        self._schedules = scheduler_backends[DEFAULT_ACCOUNT_ID][REGION].schedule_groups[GROUP].schedules
        self._ec2_lock = threading.Lock()
        self.on_call: Callable[[str], None] = lambda operation: None
        self.handlers: Handlers = connect(self.settings, self._watched_session(), lambda: self.now)
        self.reset()

    def reset(self) -> None:
        """The machine is off and nothing is planned."""
        self.now = EPOCH
        self.server.reset()
        self.starts = 0
        self.stops: list[tuple[datetime, int]] = []
        """When the machine was stopped, and how many sessions were live."""
        self.on_call = lambda operation: None
        self._set_state("stopped")
        self._schedules.clear()
        self.clear_heartbeats()

    @property
    def launched(self) -> datetime:
        return self._instance.launch_time.replace(tzinfo=UTC)

    @property
    def schedule_names(self) -> list[str]:
        return list(self._schedules)

    @property
    def due(self) -> datetime | None:
        """When the schedule fires."""
        for schedule in self._schedules.values():
            return datetime.strptime(schedule.schedule_expression, "at(%Y-%m-%dT%H:%M:%S)").replace(
                tzinfo=UTC
            )
        return None

    def lose_schedule(self) -> None:
        self._schedules.clear()

    def advance(self, span: timedelta) -> None:
        """Time passes: the machine goes on from pending to running and from stopping to stopped."""
        self.now += span
        if self.state == "pending" and self.now >= self._since + timedelta(seconds=30):
            self._set_state("running")
        if self.state == "stopping" and self.now >= self._since + SHUTDOWN:
            self._set_state("stopped")

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
        """The machine reports its sessions."""
        self.cloudwatch.put_metric_data(
            Namespace=NAMESPACE,
            MetricData=[
                {
                    "MetricName": METRIC,
                    "Dimensions": [{"Name": "InstanceId", "Value": self.instance_id}],
                    "Timestamp": when or self.now,
                    "Value": sessions,
                }
            ],
        )

    def clear_heartbeats(self) -> None:
        cloudwatch_backends[DEFAULT_ACCOUNT_ID][REGION].metric_data.clear()

    @contextmanager
    def failing(self, operation: str, code: str) -> Iterator[None]:
        """Every call of that operation by the functions is refused by AWS."""

        def refuse(called: str) -> None:
            if called == operation:
                raise aws_error(code, operation)

        self.on_call = refuse
        try:
            yield
        finally:
            self.on_call = lambda operation: None

    def api_token(self, life: timedelta = timedelta(hours=1)) -> str:
        return mint(KEYS, Audience.API, "ada", self.now, life)

    def close(self) -> None:
        self.server.close()

    def _set_state(self, state: str) -> None:
        """``state`` is EC2's word for the machine."""
        self.state = state
        self._tell_moto()
        self._since = self.now
        if state != "running":
            self.server.up = False
            self.server.sessions = 0

    def _watched_session(self) -> boto3.Session:
        session = boto3.Session("testing", "testing", region_name=REGION)
        # On a session of its own: the test's own clients are neither counted nor made to fail.
        events = session.events
        events.register("before-call", self._before_call)
        events.register("after-call.ec2.StartInstances", self._started)
        events.register("after-call.ec2.StopInstances", self._stopped)
        return session

    def _before_call(self, model: Any, **_: object) -> None:
        self.on_call(model.name)
        if model.name == "StartInstances":
            if self.state == "stopping":
                raise aws_error("IncorrectInstanceState", model.name)
            if self.state == "stopped":
                self._instance.launch_time = self.now.replace(tzinfo=None)
        if model.name == "StopInstances" and self.state == "pending":
            raise aws_error("IncorrectInstanceState", model.name)

    def _started(self, **_: object) -> None:
        with self._ec2_lock:
            if self.state == "stopped":
                self.starts += 1
                self._set_state("pending")
            self._tell_moto()

    def _stopped(self, **_: object) -> None:
        with self._ec2_lock:
            if self.state == "running":
                self.stops.append((self.now, self.server.sessions))
                self._set_state("stopping")
            self._tell_moto()

    def _tell_moto(self) -> None:
        # It would jump over the states in between.
        self._instance._state.name = self.state
        self._instance._state.code = _EC2_CODES[self.state]


def aws_error(code: str, operation: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "as the test wants it"}}, operation)
