"""``mediaserver serve``."""

from __future__ import annotations

import argparse
from pathlib import Path

from mediaserver.server.run import serve
from mediaserver.settings.model import describe, load

DESCRIPTION = (
    "Serves /ws/inference, /healthz, /readyz, /metrics and the page at / until Ctrl-C. Without options only "
    "this machine can reach it. Each can also be set by the environment variable in brackets or, under its "
    "name, in a TOML file; the command line wins."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """An option for each setting."""
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="TOML file with settings [MEDIASERVER_CONFIG]"
    )
    for setting in describe():
        default = "" if setting.default in (None, ()) else f" Default: {_in_words(setting.default)}."
        parser.add_argument(
            f"--{setting.key.replace('_', '-')}",
            dest=setting.key,
            metavar="VALUE",
            help=f"{setting.description} Allowed: {setting.allowed}.{default} [{setting.variable}]",
        )


def _in_words(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def run(parsed: argparse.Namespace) -> int:
    """Serves until SIGTERM or SIGINT."""
    given = {setting.key: getattr(parsed, setting.key) for setting in describe()}
    command_line = {key: value for key, value in given.items() if value is not None}
    return serve(load(command_line=command_line, config_file=parsed.config))
