"""Lambda's entry points, ``lambdas.entry.<name>``. They are built at import, once a cold start."""

from __future__ import annotations

import logging
import os
from datetime import UTC, datetime

import boto3

from lambdas.settings import Settings
from lambdas.wiring import connect

logging.getLogger().setLevel(logging.INFO)

_handlers = connect(Settings.from_environment(os.environ), boto3.Session(), lambda: datetime.now(UTC))

start = _handlers.start
status = _handlers.status
stop = _handlers.stop
reap = _handlers.reap
authorize = _handlers.authorize
