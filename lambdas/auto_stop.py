"""The one schedule that stops the machine: a lease in EventBridge Scheduler.

Its due time is the end of the lease. Its name is fixed, so a second schedule cannot exist.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from lambdas.errors import error_code, translated

SCHEDULE_NAME = "auto-stop"
_FORMAT = "at(%Y-%m-%dT%H:%M:%S)"


class AutoStop:
    """Reads, writes and removes the schedule. ``target_arn`` is invoked when it is due."""

    def __init__(self, client: Any, group: str, target_arn: str, role_arn: str) -> None:
        self._client = client
        self._key = {"Name": SCHEDULE_NAME, "GroupName": group}
        self._target = {
            "Arn": target_arn,
            "RoleArn": role_arn,
            # After this time the reaper has run as well.
            "RetryPolicy": {"MaximumEventAgeInSeconds": 1800, "MaximumRetryAttempts": 5},
        }

    def due(self) -> datetime | None:
        """Returns the due time; ``None`` without a schedule."""
        with translated():
            try:
                answer = self._client.get_schedule(**self._key)
            except ClientError as error:
                if error_code(error) == "ResourceNotFoundException":
                    return None
                raise
        return datetime.strptime(answer["ScheduleExpression"], _FORMAT).replace(tzinfo=UTC)

    def put(self, due: datetime) -> datetime:
        """Creates or moves the schedule; returns its due time, ``due`` in whole seconds, rounded up.

        A conflict is success: another call wrote the schedule at the same moment, for the same reason.
        """
        due = _whole_seconds(due)
        schedule = self._key | {
            "ScheduleExpression": due.strftime(_FORMAT),
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "Target": self._target,
            # Deletion on completion could remove a schedule that its own firing has just moved.
            "ActionAfterCompletion": "NONE",
        }
        with translated():
            try:
                self._client.update_schedule(**schedule)
            except ClientError as error:
                if error_code(error) == "ResourceNotFoundException":
                    self._create(schedule)
                elif error_code(error) != "ConflictException":
                    raise
        return due

    def _create(self, schedule: dict[str, Any]) -> None:
        try:
            self._client.create_schedule(**schedule)
        except ClientError as error:
            if error_code(error) != "ConflictException":
                raise

    def delete(self) -> None:
        """Removes the schedule. Idempotent."""
        with translated():
            try:
                self._client.delete_schedule(**self._key)
            except ClientError as error:
                if error_code(error) not in {"ResourceNotFoundException", "ConflictException"}:
                    raise


def _whole_seconds(moment: datetime) -> datetime:
    # Rounded up: a schedule that fires early would find its own lease still running.
    whole = moment.replace(microsecond=0)
    return whole if whole == moment else whole + timedelta(seconds=1)
