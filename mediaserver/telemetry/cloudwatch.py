"""The heartbeat: how many sessions live, asked of a server and reported to CloudWatch.

The functions that stop the machine look there (`docs/aws.md`) for when it was last in use.
"""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request

from prometheus_client.parser import text_string_to_metric_families

from mediaserver.errors import MissingPackage, UserError

INSTANCE_VARIABLE = "HEARTBEAT_INSTANCE"
"""Names the EC2 instance. Where it is not set there is nobody to report to."""

NAMESPACE = "Mediaserver"
METRIC = "ActiveSessions"
_LIVE_SESSIONS = "mediaserver_sessions_live"
_TIMEOUT_S = 5.0


class HeartbeatError(UserError):
    """The number cannot be learned or reported; the message says why."""


def live_sessions(url: str) -> int:
    """Asks the server at ``url`` (no path) how many sessions live there, in all its workers.

    Raises `HeartbeatError`.
    """
    try:
        with urllib.request.urlopen(f"{url}/metrics", timeout=_TIMEOUT_S) as answer:
            text = answer.read().decode()
    except (OSError, http.client.HTTPException, ValueError) as exc:
        reason = exc.reason if isinstance(exc, urllib.error.URLError) else exc
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
    """Puts the number into the metric that `lambdas/heartbeat.py` reads.

    Region and credentials are boto3's affair: the environment, or the machine's role.
    Raises `HeartbeatError`, and `mediaserver.errors.MissingPackage` where boto3 is not installed.
    """
    try:
        import boto3  # noqa: PLC0415 - an extra, for machines on AWS
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415
    except ImportError as exc:
        raise MissingPackage("boto3 is not installed: pip install 'mediaserver[aws]'") from exc
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
