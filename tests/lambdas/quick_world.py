"""A world without moto, some ten times as fast, for the thousands of timelines of the simulation.

What stands in for AWS is stricter than moto where the functions could lean on its kindness: a schedule in the
past is refused, and so is what botocore's model does not know.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.validate import validate_parameters

from lambdas.dev.cloud import Cloud
from lambdas.dev.ec2 import refusal
from tests.lambdas.world import World


class _Client:
    """Checks what a call is given, and tells of it before it is made."""

    def __init__(self, real: Any, on_call: Callable[[str], None]) -> None:
        self._model = real.meta.service_model
        self._on_call = on_call

    def _called(self, name: str, parameters: dict[str, Any]) -> None:
        validate_parameters(parameters, self._model.operation_model(name).input_shape)
        self._on_call(name)


class Scheduler(_Client):
    """EventBridge Scheduler. ``due`` of each schedule, by its name."""

    def __init__(self, real: Any, on_call: Callable[[str], None], clock: Callable[[], datetime]) -> None:
        super().__init__(real, on_call)
        self._clock = clock
        self.due: dict[str, datetime] = {}
        self._kept: dict[str, dict[str, Any]] = {}

    def get_schedule(self, **parameters: Any) -> dict[str, Any]:
        self._called("GetSchedule", parameters)
        return self._kept[self._existing(parameters["Name"], "GetSchedule")]

    def create_schedule(self, **parameters: Any) -> None:
        self._called("CreateSchedule", parameters)
        if parameters["Name"] in self.due:
            raise refusal("ConflictException", "CreateSchedule")
        self._put(parameters, "CreateSchedule")

    def update_schedule(self, **parameters: Any) -> None:
        self._called("UpdateSchedule", parameters)
        self._existing(parameters["Name"], "UpdateSchedule")
        self._put(parameters, "UpdateSchedule")

    def delete_schedule(self, **parameters: Any) -> None:
        self._called("DeleteSchedule", parameters)
        del self.due[self._existing(parameters["Name"], "DeleteSchedule")]

    def _existing(self, name: str, operation: str) -> str:
        if name not in self.due:
            raise refusal("ResourceNotFoundException", operation)
        return name

    def _put(self, schedule: dict[str, Any], operation: str) -> None:
        due = datetime.strptime(schedule["ScheduleExpression"], "at(%Y-%m-%dT%H:%M:%S)").replace(tzinfo=UTC)
        if due <= self._clock():
            # Nothing says that one in the past ever fires.
            raise refusal("ValidationException", operation)
        self.due[schedule["Name"]], self._kept[schedule["Name"]] = due, schedule


class CloudWatch(_Client):
    """``beats``: when, and how many sessions lived, by instance."""

    def __init__(self, real: Any, on_call: Callable[[str], None]) -> None:
        super().__init__(real, on_call)
        self.beats: dict[str, list[tuple[datetime, int]]] = {}

    def get_metric_statistics(self, **parameters: Any) -> dict[str, Any]:
        self._called("GetMetricStatistics", parameters)
        since, until = parameters["StartTime"], parameters["EndTime"]
        (dimension,) = parameters["Dimensions"]
        points = [
            {"Timestamp": when, "Maximum": float(sessions)}
            for when, sessions in self.beats.get(dimension["Value"], [])
            if since <= when < until
        ]
        return {"Datapoints": points}


class Parameters(_Client):
    """Parameter Store: name to text."""

    def __init__(self, real: Any, on_call: Callable[[str], None]) -> None:
        super().__init__(real, on_call)
        self.texts: dict[str, str] = {}

    def get_parameters(self, **parameters: Any) -> dict[str, Any]:
        self._called("GetParameters", parameters)
        names = [name for name in parameters["Names"] if name in self.texts]
        return {"Parameters": [{"Name": name, "Value": self.texts[name]} for name in names]}


class Secrets(_Client):
    """The one secret of the keys."""

    def __init__(self, real: Any, on_call: Callable[[str], None], keys: str) -> None:
        super().__init__(real, on_call)
        self._keys = keys

    def get_secret_value(self, **parameters: Any) -> dict[str, Any]:
        self._called("GetSecretValue", parameters)
        return {"SecretString": self._keys}


class QuickCloud(Cloud):
    def prepare(self, keys: dict[str, str]) -> None:
        def real(service: str) -> Any:
            return self.session.client(service)

        self.scheduler = Scheduler(real("scheduler"), self._called, self._clock)
        self.cloudwatch = CloudWatch(real("cloudwatch"), self._called)
        self.parameters = Parameters(real("ssm"), self._called)
        self.secrets = Secrets(real("secretsmanager"), self._called, json.dumps(keys))

    def doubles(self) -> dict[str, Any]:
        return {
            "scheduler": self.scheduler,
            "cloudwatch": self.cloudwatch,
            "ssm": self.parameters,
            "secretsmanager": self.secrets,
        }

    @property
    def schedule_names(self) -> list[str]:
        return list(self.scheduler.due)

    @property
    def due(self) -> datetime | None:
        return next(iter(self.scheduler.due.values()), None)

    def lose_schedule(self) -> None:
        self.scheduler.due.clear()

    def tell(self, name: str, value: dict[str, Any]) -> None:
        self.parameters.texts[name] = json.dumps(value)


class QuickWorld(World):
    cloud_type = QuickCloud
    cloud: QuickCloud

    def beat(self, sessions: int, when: datetime | None = None) -> None:
        beats = self.cloud.cloudwatch.beats.setdefault(self.cloud.instance_id, [])
        beats.append((when or self.now, sessions))
        # Older ones are never asked for.
        while beats[0][0] < self.now - timedelta(hours=1):
            del beats[0]

    def forget_reports(self) -> None:
        self.cloud.parameters.texts.clear()

    def clear_heartbeats(self) -> None:
        self.cloud.cloudwatch.beats.clear()
