"""``mediaserver dev-cloud``: becomes ``python -m lambdas.dev``, which is in a checkout only."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys

from mediaserver.errors import MissingPackage

DESCRIPTION = (
    "Simulates the GPU machine on demand, without AWS and without cost. It serves a page with a Start "
    "button, runs the real functions, and starts and stops a media server. Open the page, press Start, and "
    "enter the key. The machine takes 30 s to find a host and 60 s to stop. It stops 15 minutes after its "
    "last use. The input line `time` moves its clock. It needs a checkout of the repository after `make "
    "install`."
)
EXAMPLES = ("mediaserver dev-cloud", "mediaserver dev-cloud --port 8091 --server http://127.0.0.1:8080")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where the page is, and which server belongs to it."""
    parser.add_argument(
        "--port", type=_port, default=8090, help="port of page and API; 0: a free port; default: %(default)s"
    )
    parser.add_argument(
        "--server",
        metavar="URL",
        help="a media server that you start and stop yourself. Default: one is started with the machine, "
        "with the MEDIASERVER_ variables of this shell",
    )


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r}: a port is a number from 0 to 65535")
    return int(text)


def run(parsed: argparse.Namespace) -> int:
    """Becomes the program. Raises `MissingPackage`."""
    if importlib.util.find_spec("lambdas") is None:
        raise MissingPackage("dev-cloud runs in a checkout of mediaserver only: `make install` there")
    if importlib.util.find_spec("moto") is None:
        raise MissingPackage("dev-cloud needs moto, which stands in for AWS: `make install` in the checkout")
    sys.stdout.flush()
    server = () if parsed.server is None else (parsed.server,)
    os.execv(sys.executable, [sys.executable, "-m", "lambdas.dev", str(parsed.port), *server])
