"""The stack on a laptop: EC2's double, and moto for the rest of AWS. Used inside ``moto.mock_aws()``."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import boto3
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.scheduler.models import scheduler_backends

from lambdas.dev.ec2 import ADDRESS, ALLOCATION, Ec2, Instance, InstanceState
from lambdas.settings import Settings
from lambdas.wiring import connect

REGION = "eu-central-1"


def settings(server_url: str) -> Settings:
    """The template's defaults, for a stack named ``dev`` whose media server is at ``server_url``."""
    return Settings(
        stack="dev",
        server_url=server_url,
        address=ADDRESS,
        allocation=ALLOCATION,
        boot_report="/mediaserver/dev/boot",
        start_times="/mediaserver/dev/starts",
        schedule_group="dev",
        reaper_arn=f"arn:aws:lambda:{REGION}:{DEFAULT_ACCOUNT_ID}:function:dev-reaper",
        scheduler_role_arn=f"arn:aws:iam::{DEFAULT_ACCOUNT_ID}:role/dev-scheduler",
        keys_secret="dev-keys",
        idle=timedelta(minutes=15),
        max_run=timedelta(hours=8),
        boot=timedelta(minutes=4),
        boot_limit=timedelta(minutes=40),
        token_life=timedelta(minutes=15),
        price=Decimal("0.526"),
    )


def session() -> boto3.Session:
    """A boto3 session that moto accepts."""
    return boto3.Session("testing", "testing", region_name=REGION)


class _WatchedSession:
    """A session that reports each call to ``on_call`` before it is made.

    ``doubles``: service → the double of its client, which reports its own calls.
    """

    def __init__(self, doubles: Mapping[str, Any], on_call: Callable[[str], None]) -> None:
        # A session apart from that of tests, whose calls are not reported.
        self._session = session()
        self._session.events.register("before-call", lambda model, **_: on_call(model.name))
        self._doubles = doubles

    def client(self, service: str, **options: Any) -> Any:
        return self._doubles.get(service) or self._session.client(service, **options)


class Cloud:
    """The stack of ``settings``, with its machine off; ``handlers`` are the real functions over it.

    ``on_call`` gets the name of each operation before the functions call it, and may raise. ``on_enter`` gets
    each state that the machine enters.
    """

    def __init__(self, settings: Settings, keys: dict[str, str], clock: Callable[[], datetime]) -> None:
        self.settings = settings
        self.session = session()
        self.on_call: Callable[[str], None] = _let_pass
        self.on_enter: Callable[[str], None] = _let_pass
        self._clock = clock
        self.ec2 = Ec2(self.session.client("ec2"), clock)
        self.ec2.on_call = self._called
        self.ec2.on_enter = self._entered
        self.rebuild()
        self.prepare(keys)
        self.handlers = connect(
            settings, _WatchedSession({"ec2": self.ec2} | self.doubles(), self._called), clock
        )

    def prepare(self, keys: dict[str, str]) -> None:
        """Makes the parts of the stack besides its machine."""
        self.session.client("scheduler").create_schedule_group(Name=self.settings.schedule_group)
        secrets = self.session.client("secretsmanager")
        secrets.create_secret(Name=self.settings.keys_secret, SecretString=json.dumps(keys))
        self._ssm = self.session.client("ssm")
        backend = scheduler_backends[DEFAULT_ACCOUNT_ID][REGION]
        self._schedules = backend.schedule_groups[self.settings.schedule_group].schedules

    def doubles(self) -> dict[str, Any]:
        """Returns doubles of clients besides EC2's: none, as moto replaces the others."""
        return {}

    def rebuild(self) -> None:
        """Sets the machines to those of a new stack that is off."""
        self.ec2.instances.clear()
        self.machine = self.ec2.launch(self.settings.stack, state=InstanceState.STOPPED)
        self.ec2.address_of = self.machine

    @property
    def state(self) -> str:
        """EC2's state of the machine that the address leads to."""
        return self._meant.state.value

    @property
    def instance_id(self) -> str:
        """The id of the machine that the address leads to."""
        return self._meant.instance_id

    @property
    def launched(self) -> datetime:
        """When that machine was last started."""
        return self._meant.launched

    @property
    def schedule_names(self) -> list[str]:
        """The names of all schedules."""
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
        """Deletes the schedule."""
        self._schedules.clear()

    def catch_up(self) -> None:
        """Moves machines on, by the clock."""
        self.ec2.catch_up()

    def tell(self, name: str, value: dict[str, Any]) -> None:
        """Writes a parameter as the machine does."""
        self._ssm.put_parameter(Name=name, Value=json.dumps(value), Type="String", Overwrite=True)

    @property
    def _meant(self) -> Instance:
        return self.ec2.address_of or self.machine

    def _called(self, name: str) -> None:
        self.on_call(name)

    def _entered(self, instance: Instance) -> None:
        if instance is self.ec2.address_of:
            self.on_enter(instance.state.value)


def _let_pass(_name: str) -> None:
    pass
