"""``mediaserver dev-cloud``: hands over to ``python -m lambdas.dev``, which is in a checkout only."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys

from mediaserver.errors import SettingsError


def add_dev_cloud(parser: argparse.ArgumentParser) -> None:
    """Adds no options: all that is given goes on to the program, ``--help`` too."""
    parser.set_defaults(run=_run, passes_on=True)


def _run(parsed: argparse.Namespace) -> int:
    for package in ("lambdas", "moto"):
        if importlib.util.find_spec(package) is None:
            raise SettingsError(f"dev-cloud needs {package}: in a checkout, pip install --editable '.[test]'")
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "lambdas.dev", *parsed.passed_on])
