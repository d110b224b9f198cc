"""``mediaserver dev-cloud``: hands over to ``python -m lambdas.dev``, which is in a checkout only."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys

from mediaserver.errors import MissingPackage

DESCRIPTION = None
"""The program has its own."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """All that is given goes on to the program: without a prefix nothing is an option here, not even
    ``--help``."""
    parser.prefix_chars = ""
    parser.add_argument("passed_on", nargs=argparse.REMAINDER)


def run(parsed: argparse.Namespace) -> int:
    """Becomes the program. Raises `MissingPackage`."""
    for package in ("lambdas", "moto"):
        if importlib.util.find_spec(package) is None:
            raise MissingPackage(
                f"dev-cloud needs {package}: in a checkout, pip install --editable '.[test]'"
            )
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "lambdas.dev", *parsed.passed_on])
