"""The GPU machine on demand, without AWS: a page with a Start button, the real functions, a media server
that comes and goes, and time that can be moved on. Nothing leaves this machine, nothing costs."""

from __future__ import annotations

import argparse
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


def main(arguments: list[str] | None = None) -> int:
    """Serves until SIGINT or SIGTERM. Returns the exit status."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("botocore").setLevel(logging.WARNING)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    clock = Clock()
    keys = {"k1": secrets.token_hex(32)}
    port = free_port()
    server_url = options.server.rstrip("/") if options.server else f"http://127.0.0.1:{port}"
    with ExitStack() as stack:
        stack.enter_context(mock_aws())
        cloud = Cloud(settings(server_url), keys, clock)
        try:
            api = Api(cloud, clock, options.port)
        except OSError as error:
            sys.stderr.write(f"mediaserver dev-cloud: port {options.port}: {error.strerror}\n")
            return 1
        server = None if options.server else ServerProcess(port, keys, api.url)
        if server is not None:
            stack.callback(server.close)
        cloud.on_enter = lambda state: _enter(state, server)
        stack.callback(api.close)
        key = mint(keys, Audience.API, "developer", clock(), timedelta(days=1))
        sys.stdout.write(f"page:   {api.url}/\nkey:    {key}\n")
        sys.stdout.write(f"time:   curl -X POST '{api.url}/dev/advance?minutes=15'\n")
        if server is None:
            given = f"MEDIASERVER_TOKEN_KEYS='{json.dumps(keys)}' MEDIASERVER_ALLOWED_ORIGINS={api.url}"
            sys.stdout.write(f"server: {given} mediaserver serve\n")
        sys.stdout.flush()
        ended.wait()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mediaserver dev-cloud",
        description=__doc__,
        epilog="Open the page, press Start, and give the key where it asks for one. The machine takes 30 s "
        "to find a host, a minute to stop, and stops by itself 15 minutes after its last use; the line "
        "`time` moves the clock on.",
    )
    parser.add_argument(
        "--port", type=int, default=8090, help="of page and API; 0 takes a free one (default: 8090)"
    )
    parser.add_argument(
        "--server",
        metavar="URL",
        help="a media server that you start and stop by hand; without it one is started when the machine "
        "runs, with the MEDIASERVER_ variables that are set here",
    )
    return parser


def _enter(state: str, server: ServerProcess | None) -> None:
    _log.info("machine: %s", state)
    if server is not None:
        server.follow(state)


if __name__ == "__main__":
    sys.exit(main())
