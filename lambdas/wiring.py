"""Wires the parts over a boto3 session."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from botocore.config import Config

from lambdas.auto_stop import AutoStop
from lambdas.boot_report import BootReports
from lambdas.cost import Costs
from lambdas.handlers import Handlers
from lambdas.heartbeat import Heartbeat
from lambdas.lifecycle import Lifecycle
from lambdas.machine import Ec2Machines
from lambdas.media_server import MediaServer
from lambdas.settings import Settings
from lambdas.tokens import Keyring

# A function has 30 s in all. So a typed error comes before the time-out.
_CONFIG = Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 3})


def connect(settings: Settings, session: Any, clock: Callable[[], datetime]) -> Handlers:
    """Returns handlers over the AWS account of ``session``, a ``boto3.Session``; ``clock`` returns UTC."""

    def client(service: str) -> Any:
        return session.client(service, config=_CONFIG)

    keyring = Keyring(client("secretsmanager"), settings.keys_secret, clock)
    auto_stop = AutoStop(
        client("scheduler"),
        group=settings.schedule_group,
        target_arn=settings.reaper_arn,
        role_arn=settings.scheduler_role_arn,
    )
    lifecycle = Lifecycle(
        settings=settings,
        machines=Ec2Machines(client("ec2"), settings.stack, settings.address, settings.allocation),
        auto_stop=auto_stop,
        heartbeat=Heartbeat(client("cloudwatch")),
        reports=BootReports(client("ssm"), settings.boot_report, settings.start_times),
        costs=Costs(client("cloudwatch"), settings.price),
        server=MediaServer(settings.server_url),
        keyring=keyring,
        clock=clock,
    )
    return Handlers(lifecycle, keyring, clock)
