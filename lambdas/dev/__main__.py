"""The GPU machine on demand, without AWS: ``python -m lambdas.dev PORT [SERVER]``.

``mediaserver dev-cloud`` describes it, reads its options and starts it.
"""

from __future__ import annotations

import json
import logging
import secrets
import signal
import sys
import threading
from contextlib import ExitStack
from datetime import timedelta

from moto import mock_aws

from lambdas.dev.api import Api, Clock
from lambdas.dev.cloud import Cloud, settings
from lambdas.dev.server_process import ServerProcess, free_port
from lambdas.tokens import Audience, mint

_log = logging.getLogger(__name__)


def main(page_port: int, given_server: str | None = None) -> int:
    """Serves until SIGINT or SIGTERM. Returns the exit status.

    ``page_port`` is the port of page and API; 0 takes a free port. ``given_server`` is the URL of a media
    server that you start and stop by hand. Without it a server starts and stops with the machine.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("botocore").setLevel(logging.WARNING)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    clock = Clock()
    keys = {"k1": secrets.token_hex(32)}
    port = free_port()
    server_url = given_server.rstrip("/") if given_server else f"http://127.0.0.1:{port}"
    with ExitStack() as stack:
        stack.enter_context(mock_aws())
        cloud = Cloud(settings(server_url), keys, clock)
        try:
            api = Api(cloud, clock, page_port)
        except OSError as error:
            sys.stderr.write(f"mediaserver dev-cloud: port {page_port}: {error.strerror}\n")
            return 1
        server = None if given_server else ServerProcess(port, keys, api.url)
        if server is not None:
            stack.callback(server.close)
        cloud.on_enter = lambda state: _enter(state, server)
        stack.callback(api.close)
        key = mint(keys, Audience.API, "developer", clock(), timedelta(days=1), sees_costs=True)
        sys.stdout.write(f"page:   {api.url}/\nkey:    {key}\n")
        sys.stdout.write(f"time:   curl -X POST '{api.url}/dev/advance?minutes=15'\n")
        if server is None:
            given = f"MEDIASERVER_TOKEN_KEYS='{json.dumps(keys)}' MEDIASERVER_ALLOWED_ORIGINS={api.url}"
            sys.stdout.write(f"server: {given} mediaserver serve\n")
        sys.stdout.flush()
        ended.wait()
    return 0


def _enter(state: str, server: ServerProcess | None) -> None:
    _log.info("machine: %s", state)
    if server is not None:
        server.follow(state)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), *sys.argv[2:]))
