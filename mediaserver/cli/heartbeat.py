"""``mediaserver heartbeat``: reports the number of live sessions to CloudWatch, once. A timer calls it."""

from __future__ import annotations

import argparse
import os

from mediaserver.cli.output import say
from mediaserver.settings.model import load
from mediaserver.telemetry.cloudwatch import INSTANCE_VARIABLE, live_sessions, report

DESCRIPTION = (
    f"Asks the server how many sessions live and tells CloudWatch, for the instance in {INSTANCE_VARIABLE}; "
    "without that variable it does nothing. For a timer, once a minute."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which server."""
    parser.add_argument("--url", help="of the server; default: this machine, at MEDIASERVER_PORT")


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
