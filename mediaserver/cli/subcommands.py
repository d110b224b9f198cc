"""The commands of a verb that has several, as in ``mediaserver models pull``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from mediaserver.cli.parser import Parser

Command = Callable[[argparse.Namespace], int]


class Subcommands:
    """Adds commands to the parser of a verb; ``parsed.command`` runs the command that was typed.

    ``default`` names the command that runs without a name. If there is none, ``overview`` is printed.
    """

    def __init__(
        self, parser: argparse.ArgumentParser, *, default: str | None = None, overview: str = ""
    ) -> None:
        self._parsers = parser.add_subparsers(
            title="commands",
            metavar="command",
            parser_class=Parser,
            help=None if default is None else f"default: {default}",
        )
        if default is None:
            parser.set_defaults(command=lambda parsed: teach(overview))

    def add(
        self, name: str, command: Command, words: str, examples: Sequence[str]
    ) -> argparse.ArgumentParser:
        """Adds a command, described by the line ``words``; returns its parser, which has no arguments yet."""
        parser = self._parsers.add_parser(
            name, help=words, description=f"{words[0].upper()}{words[1:]}.", examples=examples
        )
        parser.set_defaults(command=command)
        return parser


def teach(overview: str) -> int:
    """Prints the first steps where a command is missing; returns 2, the status of a usage error."""
    print(overview, file=sys.stderr)  # noqa: T201 - output of the command line
    return 2
