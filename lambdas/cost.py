"""The machine's cost: its running time and its price an hour, without disk, address and traffic."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from lambdas.errors import translated
from lambdas.machine import Machine

_HOUR = timedelta(hours=1)
_REMEMBERED = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Cost:
    """In USD: of the machine's present run, 0 while it is off, and of the calendar month in UTC."""

    run: Decimal
    month: Decimal


class Costs:
    """Counts the minutes in which EC2 checked the machine.

    EC2 checks a running machine once a minute, free of charge (EC2 User Guide, "Status checks for your
    instances").
    """

    def __init__(self, client: Any, price: Decimal) -> None:
        self._client = client
        self._price = price
        self._month = timedelta(0)
        self._counted_at: datetime | None = None

    def so_far(self, machine: Machine, machines: list[Machine], now: datetime) -> Cost | None:
        """Returns the cost; ``None`` without a price. A replaced machine does not count."""
        if not self._price:
            return None
        if self._counted_at is None or now - self._counted_at >= _REMEMBERED:
            ids = [each.instance_id for each in machines]
            self._month = sum((self._ran(instance, now) for instance in ids), timedelta(0))
            self._counted_at = now
        run = now - machine.launched if machine.is_up else timedelta(0)
        return Cost(self._usd(run), self._usd(self._month))

    def _ran(self, instance_id: str, now: datetime) -> timedelta:
        with translated():
            answer = self._client.get_metric_statistics(
                Namespace="AWS/EC2",
                MetricName="StatusCheckFailed",
                Dimensions=[{"Name": "InstanceId", "Value": instance_id}],
                StartTime=now.replace(day=1, hour=0, minute=0, second=0, microsecond=0),
                EndTime=now,
                Period=24 * 3600,
                Statistics=["SampleCount"],
            )
        return timedelta(minutes=sum(point["SampleCount"] for point in answer["Datapoints"]))

    def _usd(self, span: timedelta) -> Decimal:
        return round(self._price * Decimal(span / _HOUR), 2)
