"""Reads from CloudWatch the number of live sessions that the machine reports each minute."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from lambdas.errors import translated

NAMESPACE = "Mediaserver"
METRIC = "ActiveSessions"
PERIOD_S = 60


class Heartbeat:
    """Reads metric ``Mediaserver/ActiveSessions`` with dimension ``InstanceId``."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def last_active(self, instance_id: str, since: datetime, until: datetime) -> datetime | None:
        """Returns the last minute with a live session; ``None`` without such a minute or any report.

        The span is 24 h at most: CloudWatch returns 1440 points.
        """
        with translated():
            answer = self._client.get_metric_statistics(
                Namespace=NAMESPACE,
                MetricName=METRIC,
                Dimensions=[{"Name": "InstanceId", "Value": instance_id}],
                StartTime=since,
                EndTime=until,
                Period=PERIOD_S,
                Statistics=["Maximum"],
            )
        active = [point["Timestamp"] for point in answer["Datapoints"] if point["Maximum"] > 0]
        return max(active, default=None)
