"""``mediaserver doctor``."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from mediaserver.settings.model import load


def add_doctor(parser: argparse.ArgumentParser) -> None:
    """Adds the options of ``mediaserver doctor``."""
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="TOML file with settings [MEDIASERVER_CONFIG]"
    )
    parser.add_argument("--json", action="store_true", help="print the report as one line of JSON")
    parser.set_defaults(run=_run)


def _run(parsed: argparse.Namespace) -> int:
    from mediaserver.server.doctor import State, examine  # noqa: PLC0415 - --help needs none of it

    findings = asyncio.run(examine(load(config_file=parsed.config)))
    well = all(finding.state is not State.FAILED for finding in findings)
    if parsed.json:
        checks = [dataclasses.asdict(finding) for finding in findings]
        print(json.dumps({"ok": well, "checks": checks}))  # noqa: T201 - the command's output
        return 0 if well else 1
    console = Console(highlight=False)
    signs = {State.OK: "[green]✓[/]", State.WARNING: "[yellow]![/]", State.FAILED: "[red]✗[/]"}
    for finding in findings:
        fix = f" → {finding.fix}" if finding.fix else ""
        line = escape(f"{finding.check:<14} {finding.words}{fix}")
        console.print(f"{signs[finding.state]} {line}", soft_wrap=True)
    return 0 if well else 1
