"""The heartbeat: reads the number of live sessions from a server and reports it to CloudWatch.

The functions that stop the machine read there when it was last in use (`docs/aws.md`).
"""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request

from prometheus_client.parser import text_string_to_metric_families

from mediaserver.errors import MissingPackage, UserError
from mediaserver.packages import pip_install, required_by

INSTANCE_VARIABLE = "HEARTBEAT_INSTANCE"
"""The environment variable with the EC2 instance's id. Without it nothing is reported."""

NAMESPACE = "Mediaserver"
METRIC = "ActiveSessions"
_LIVE_SESSIONS = "mediaserver_sessions_live"
_TIMEOUT_S = 5.0


class HeartbeatError(UserError):
    """The number cannot be read or reported; the message gives the reason."""


def live_sessions(url: str) -> int:
    """Returns the number of live sessions of the server at ``url`` (no path), in all its workers.

    Raises `HeartbeatError`.
    """
    try:
        with urllib.request.urlopen(f"{url}/metrics", timeout=_TIMEOUT_S) as answer:
            text = answer.read().decode()
    except (OSError, http.client.HTTPException, ValueError) as exc:
        reason = exc.reason if isinstance(exc, urllib.error.URLError) else exc
        if isinstance(exc, urllib.error.HTTPError):
            exc.close()  # its body is not read
        raise HeartbeatError(f"{url}: no media server answers ({reason})") from exc
    try:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == _LIVE_SESSIONS:
                    return int(sample.value)
    except ValueError:
        pass  # not metrics at all: some other server
    raise HeartbeatError(f"{url}: this is no media server, its /metrics has no {_LIVE_SESSIONS}")


def report(sessions: int, instance_id: str) -> None:
    """Writes the number to the metric that `lambdas/heartbeat.py` reads.

    boto3 takes region and credentials from the environment or the machine's role.
    Raises `HeartbeatError`, and `mediaserver.errors.MissingPackage` if boto3 is not installed.
    """
    try:
        import boto3  # noqa: PLC0415 - an extra, for machines on AWS
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415
    except ImportError as exc:
        raise MissingPackage(f"boto3 is not installed: {pip_install(required_by('aws'))}") from exc
    try:
        boto3.client("cloudwatch").put_metric_data(
            Namespace=NAMESPACE,
            MetricData=[
                {
                    "MetricName": METRIC,
                    "Dimensions": [{"Name": "InstanceId", "Value": instance_id}],
                    "Value": sessions,
                    "Unit": "Count",
                }
            ],
        )
    except (BotoCoreError, ClientError, ValueError) as exc:
        raise HeartbeatError(f"CloudWatch did not take the heartbeat: {exc}") from exc
