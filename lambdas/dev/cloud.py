"""One GPU machine in moto's AWS, with what moto leaves out: machines take their time to start and stop.

Used inside ``moto.mock_aws()``. EC2's truth about the machine is kept here, and moto is told.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
from botocore.exceptions import ClientError
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.ec2.models import ec2_backends
from moto.scheduler.models import scheduler_backends

from lambdas.machine import STACK_TAG
from lambdas.settings import Settings
from lambdas.wiring import connect

REGION = "eu-central-1"
IMAGE_ID = "ami-12345678"
"""moto runs any."""
HOST_FOUND_AFTER = timedelta(seconds=30)
SHUT_DOWN_AFTER = timedelta(minutes=1)

_EC2_CODES = {"pending": 0, "running": 16, "stopping": 64, "stopped": 80}


def settings(server_url: str) -> Settings:
    """The template's defaults, for a stack named ``dev`` whose media server is at ``server_url``."""
    return Settings(
        stack="dev",
        server_url=server_url,
        schedule_group="dev",
        reaper_arn=f"arn:aws:lambda:{REGION}:{DEFAULT_ACCOUNT_ID}:function:dev-reaper",
        scheduler_role_arn=f"arn:aws:iam::{DEFAULT_ACCOUNT_ID}:role/dev-scheduler",
        keys_secret="dev-keys",
        idle=timedelta(minutes=15),
        max_run=timedelta(hours=8),
        boot=timedelta(minutes=4),
        boot_limit=timedelta(minutes=15),
        token_life=timedelta(minutes=15),
    )


def session() -> boto3.Session:
    """A boto3 session that moto accepts."""
    return boto3.Session("testing", "testing", region_name=REGION)


class Cloud:
    """The stack of ``settings``, with its machine off; ``handlers`` are the real functions over it.

    ``on_call`` is told the name of each operation before the functions call it, and may raise.
    ``on_enter`` is told each state that the machine enters.
    """

    def __init__(self, settings: Settings, keys: dict[str, str], clock: Callable[[], datetime]) -> None:
        self.settings = settings
        self.session = session()
        self.on_call: Callable[[str], None] = _let_pass
        self.on_enter: Callable[[str], None] = _let_pass
        self._clock = clock
        self._lock = threading.Lock()
        self.instance_id = self._launch()
        self.session.client("scheduler").create_schedule_group(Name=settings.schedule_group)
        secrets = self.session.client("secretsmanager")
        secrets.create_secret(Name=settings.keys_secret, SecretString=json.dumps(keys))
        backend = scheduler_backends[DEFAULT_ACCOUNT_ID][REGION]
        self._schedules = backend.schedule_groups[settings.schedule_group].schedules
        self._instance = ec2_backends[DEFAULT_ACCOUNT_ID][REGION].get_instance(self.instance_id)
        self.enter("stopped")
        self.handlers = connect(settings, self._watched_session(), clock)

    @property
    def launched(self) -> datetime:
        """When the machine was last started."""
        moment: datetime = self._instance.launch_time.replace(tzinfo=UTC)
        return moment

    @property
    def schedule_names(self) -> list[str]:
        """All schedules that there are."""
        return list(self._schedules)

    @property
    def due(self) -> datetime | None:
        """When the schedule fires; ``None`` without one."""
        for schedule in self._schedules.values():
            return datetime.strptime(schedule.schedule_expression, "at(%Y-%m-%dT%H:%M:%S)").replace(
                tzinfo=UTC
            )
        return None

    def lose_schedule(self) -> None:
        """As if someone had deleted it."""
        self._schedules.clear()

    def catch_up(self) -> None:
        """Lets the machine go on from pending and stopping, where the clock says so."""
        with self._lock:
            if self.state == "pending" and self._clock() >= self._since + HOST_FOUND_AFTER:
                self.enter("running")
            if self.state == "stopping" and self._clock() >= self._since + SHUT_DOWN_AFTER:
                self.enter("stopped")

    def enter(self, state: str) -> None:
        """``state`` is EC2's word for the machine."""
        self.state = state
        self._since = self._clock()
        self._tell_moto()
        self.on_enter(state)

    def _launch(self) -> str:
        ec2 = self.session.client("ec2")
        reservation = ec2.run_instances(
            ImageId=IMAGE_ID,
            MinCount=1,
            MaxCount=1,
            TagSpecifications=[
                {"ResourceType": "instance", "Tags": [{"Key": STACK_TAG, "Value": self.settings.stack}]}
            ],
        )
        instance_id: str = reservation["Instances"][0]["InstanceId"]
        return instance_id

    def _watched_session(self) -> boto3.Session:
        # On a session of its own: other clients are neither counted nor made to fail.
        watched = session()
        watched.events.register("before-call", self._before_call)
        watched.events.register("after-call.ec2.StartInstances", self._started)
        watched.events.register("after-call.ec2.StopInstances", self._stopped)
        return watched

    def _before_call(self, model: Any, **_: object) -> None:
        self.on_call(model.name)
        if model.name == "StartInstances":
            if self.state == "stopping":
                raise refusal("IncorrectInstanceState", model.name)
            if self.state == "stopped":
                self._instance.launch_time = self._clock().replace(tzinfo=None)
        if model.name == "StopInstances" and self.state == "pending":
            raise refusal("IncorrectInstanceState", model.name)

    def _started(self, **_: object) -> None:
        with self._lock:
            if self.state == "stopped":
                self.enter("pending")
            self._tell_moto()

    def _stopped(self, **_: object) -> None:
        with self._lock:
            if self.state == "running":
                self.enter("stopping")
            self._tell_moto()

    def _tell_moto(self) -> None:
        # It would jump over the states in between.
        self._instance._state.name = self.state
        self._instance._state.code = _EC2_CODES[self.state]


def refusal(code: str, operation: str) -> ClientError:
    """An error as AWS gives it."""
    return ClientError({"Error": {"Code": code, "Message": "refused by the simulated AWS"}}, operation)


def _let_pass(_name: str) -> None:
    pass
