"""``mediaserver doctor``: the report of `mediaserver.server.doctor`, for people or as JSON."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from mediaserver.cli.output import say, standard_output
from mediaserver.server.doctor import State, examine
from mediaserver.settings.model import load

DESCRIPTION = (
    "Checks this machine for the current settings: Python, packages, models, ports, UDP, Triton, what "
    "browsers need, clock and memory. Each finding has its remedy. Exit status: 0, or 1 if a check failed."
)
EXAMPLES = ("mediaserver doctor", "mediaserver doctor --config mediaserver.toml --json")
_SIGNS = {State.OK: "[green]✓[/]", State.WARNING: "[yellow]![/]", State.FAILED: "[red]✗[/]"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The settings, and how the report looks."""
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="TOML file with settings [MEDIASERVER_CONFIG]"
    )
    parser.add_argument("--json", action="store_true", help="print the report as one line of JSON")


def run(parsed: argparse.Namespace) -> int:
    """Prints a line for each finding; 1 where one failed."""
    findings = asyncio.run(examine(load(config_file=parsed.config)))
    well = all(finding.state is not State.FAILED for finding in findings)
    if parsed.json:
        checks = [dataclasses.asdict(finding) for finding in findings]
        say(json.dumps({"ok": well, "checks": checks}))
        return 0 if well else 1
    console = Console(highlight=False)
    with standard_output():
        for finding in findings:
            fix = f" → {finding.fix}" if finding.fix else ""
            line = escape(f"{finding.check:<14} {finding.words}{fix}")
            console.print(f"{_SIGNS[finding.state]} {line}", soft_wrap=True)
    return 0 if well else 1
