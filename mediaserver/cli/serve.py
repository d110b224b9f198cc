"""``mediaserver serve``."""

from __future__ import annotations

import argparse
from pathlib import Path

from mediaserver.server.run import serve
from mediaserver.settings.model import describe, load

DESCRIPTION = (
    "Runs the server until Ctrl-C: the page at /, the WebSocket at /ws/inference, /healthz, /readyz and "
    "/metrics. Without options it listens on this machine only. The name in brackets is the environment "
    "variable of an option. A TOML file can have the same settings. The command line comes first, then the "
    "environment, then the file."
)
EXAMPLES = (
    "mediaserver serve",
    "mediaserver serve --port 9000 --ocr true",
    "mediaserver serve --config mediaserver.toml",
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
