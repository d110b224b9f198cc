"""``mediaserver heartbeat``: reports the number of live sessions to CloudWatch, once. A timer calls it."""

from __future__ import annotations

import argparse
import os

from mediaserver.cli.output import say
from mediaserver.settings.model import load
from mediaserver.telemetry.cloudwatch import INSTANCE_VARIABLE, live_sessions, report

DESCRIPTION = (
    "Reads the number of live sessions from the server and reports it to CloudWatch, once. A timer should "
    f"run it every minute. The variable {INSTANCE_VARIABLE} names the instance; if it is unset, nothing is "
    "reported."
)
EXAMPLES = ("mediaserver heartbeat", "mediaserver heartbeat --url http://127.0.0.1:9000")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which server."""
    parser.add_argument("--url", help="address of the server; default: this machine, port MEDIASERVER_PORT")


def run(parsed: argparse.Namespace) -> int:
    """Asks and reports. Raises `mediaserver.telemetry.cloudwatch.HeartbeatError`, `MissingPackage`."""
    instance = os.environ.get(INSTANCE_VARIABLE)
    if not instance:
        say(f"no heartbeat: {INSTANCE_VARIABLE} is not set")
        return 0
    sessions = live_sessions(parsed.url.rstrip("/") if parsed.url else load().local_url)
    report(sessions, instance)
    say(f"reported {sessions} live sessions for {instance}")
    return 0
