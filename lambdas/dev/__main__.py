"""``python -m lambdas.dev``: the stack on this machine, for the page to talk to."""

from __future__ import annotations

import argparse
import json
import logging
import secrets
import signal
import sys
from datetime import timedelta

from moto import mock_aws

from lambdas.dev.api import Api, Clock
from lambdas.dev.cloud import Cloud, settings
from lambdas.tokens import Audience, mint


def main(arguments: list[str] | None = None) -> int:
    """Serves until SIGINT or SIGTERM. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="lambdas.dev", description=__doc__)
    parser.add_argument(
        "--server", default="http://127.0.0.1:8080", help="media server (default: %(default)s)"
    )
    parser.add_argument("--port", type=int, default=8090, help="port of the API; 0 takes a free one")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("botocore").setLevel(logging.WARNING)
    clock = Clock()
    keys = {"k1": secrets.token_hex(32)}
    # Before any thread is started: a thread that does not block them would take them.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    with mock_aws():
        api = Api(Cloud(settings(options.server.rstrip("/")), keys, clock), clock, options.port)
        try:
            token = mint(keys, Audience.API, "developer", clock(), timedelta(days=1))
            sys.stdout.write(f"api:    {api.url}\ntoken:  {token}\n")
            sys.stdout.write(f"server: MEDIASERVER_TOKEN_KEYS='{json.dumps(keys)}'\n")
            sys.stdout.write(f"time:   curl -X POST '{api.url}/dev/advance?minutes=15'\n")
            sys.stdout.flush()
            signal.sigwait({signal.SIGINT, signal.SIGTERM})
        finally:
            api.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
