"""The commands of a verb that has several, as in ``mediaserver models pull``."""

from __future__ import annotations

import argparse
from collections.abc import Callable

Command = Callable[[argparse.Namespace], int]


class Subcommands:
    """Adds commands to the parser of a verb. ``parsed.command`` is the one that was typed; ``default`` names
    the one that is meant where none was."""

    def __init__(self, parser: argparse.ArgumentParser, *, default: str | None = None) -> None:
        self._parsers = parser.add_subparsers(
            title="commands",
            metavar="command",
            required=default is None,
            help=None if default is None else f"default: {default}",
        )

    def add(self, name: str, command: Command, words: str) -> argparse.ArgumentParser:
        """Adds a command, described by the line ``words``; returns its parser, which has no arguments yet."""
        parser = self._parsers.add_parser(name, help=words, description=f"{words[0].upper()}{words[1:]}.")
        parser.set_defaults(command=command)
        return parser
