"""The settings that the template passes to the functions, read once at cold start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal, InvalidOperation


class SettingsError(Exception):
    """A variable is missing or has a bad value; the message names it."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of the functions.

    - ``idle``: how long the machine stays on after its last use; ``max_run``: how long it may run at most.
    - ``boot``: the estimated time of a start before any was measured.
    - ``boot_limit``: until then a starting machine counts as used, afterwards as failed.
    - ``boot_report``, ``start_times``: parameters in SSM that the machine writes.
    - ``price``: of the machine, USD an hour; 0 hides it.
    """

    stack: str
    server_url: str
    address: str
    allocation: str
    boot_report: str
    start_times: str
    schedule_group: str
    reaper_arn: str
    scheduler_role_arn: str
    keys_secret: str
    idle: timedelta
    max_run: timedelta
    boot: timedelta
    boot_limit: timedelta
    token_life: timedelta
    price: Decimal

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Raises `SettingsError`."""
        return cls(
            stack=_text(environment, "STACK"),
            server_url=_text(environment, "SERVER_URL").rstrip("/"),
            address=_text(environment, "ADDRESS"),
            allocation=_text(environment, "ALLOCATION"),
            boot_report=_text(environment, "BOOT_REPORT"),
            start_times=_text(environment, "START_TIMES"),
            schedule_group=_text(environment, "SCHEDULE_GROUP"),
            reaper_arn=_text(environment, "REAPER_ARN"),
            scheduler_role_arn=_text(environment, "SCHEDULER_ROLE_ARN"),
            keys_secret=_text(environment, "KEYS_SECRET"),
            idle=_minutes(environment, "IDLE_MINUTES"),
            max_run=_minutes(environment, "MAX_RUN_MINUTES"),
            boot=_minutes(environment, "BOOT_MINUTES"),
            boot_limit=_minutes(environment, "BOOT_LIMIT_MINUTES"),
            token_life=_minutes(environment, "TOKEN_MINUTES"),
            price=_price(environment, "PRICE_USD_HOUR"),
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


def _price(environment: Mapping[str, str], name: str) -> Decimal:
    value = _text(environment, name)
    try:
        price = Decimal(value)
    except InvalidOperation:
        price = Decimal(-1)
    if not price.is_finite() or not 0 <= price < 1000:
        raise SettingsError(f"{name} is {value!r}; it must be a price in USD, 0 for none")
    return price
