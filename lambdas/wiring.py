"""Puts the parts together over a boto3 session."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from botocore.config import Config

from lambdas.auto_stop import AutoStop
from lambdas.handlers import Handlers
from lambdas.heartbeat import Heartbeat
from lambdas.lifecycle import Lifecycle
from lambdas.machine import Ec2Machine
from lambdas.media_server import MediaServer
from lambdas.settings import Settings
from lambdas.tokens import Keyring

# A function has 30 s in all: better a typed error in time than a time-out.
_CONFIG = Config(connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 3})


def connect(settings: Settings, session: Any, clock: Callable[[], datetime]) -> Handlers:
    """Handlers over the AWS account of ``session``, a ``boto3.Session``; ``clock`` gives the time in UTC."""

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
        machine=Ec2Machine(client("ec2"), settings.stack),
        auto_stop=auto_stop,
        heartbeat=Heartbeat(client("cloudwatch")),
        server=MediaServer(settings.server_url),
        keyring=keyring,
        clock=clock,
    )
    return Handlers(lifecycle, keyring, clock)
