"""What the template passes to the functions, read once at cold start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta


class SettingsError(Exception):
    """A variable is missing or has a bad value; the message names it."""


@dataclass(frozen=True, slots=True)
class Settings:
    """``idle``: how long the machine outlives its last use. ``max_run``: how long it may run at most.
    ``boot``: how long a start normally takes. ``boot_limit``: silence after which it counts as failed."""

    stack: str
    server_url: str
    schedule_group: str
    reaper_arn: str
    scheduler_role_arn: str
    keys_secret: str
    idle: timedelta
    max_run: timedelta
    boot: timedelta
    boot_limit: timedelta
    token_life: timedelta

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Raises `SettingsError`."""
        return cls(
            stack=_text(environment, "STACK"),
            server_url=_text(environment, "SERVER_URL").rstrip("/"),
            schedule_group=_text(environment, "SCHEDULE_GROUP"),
            reaper_arn=_text(environment, "REAPER_ARN"),
            scheduler_role_arn=_text(environment, "SCHEDULER_ROLE_ARN"),
            keys_secret=_text(environment, "KEYS_SECRET"),
            idle=_minutes(environment, "IDLE_MINUTES"),
            max_run=_minutes(environment, "MAX_RUN_MINUTES"),
            boot=_minutes(environment, "BOOT_MINUTES"),
            boot_limit=_minutes(environment, "BOOT_LIMIT_MINUTES"),
            token_life=_minutes(environment, "TOKEN_MINUTES"),
        )


def _text(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name, "")
    if not value:
        raise SettingsError(f"{name} is not set")
    return value


def _minutes(environment: Mapping[str, str], name: str) -> timedelta:
    value = _text(environment, name)
    if not value.isdecimal() or int(value) < 1:
        raise SettingsError(f"{name} is {value!r}; it must be a whole number of minutes, at least 1")
    return timedelta(minutes=int(value))
