"""The command line: ``mediaserver VERB``, each with ``--help``.

The module of a verb has its name. It is imported only if the verb is on the command line. It has
``DESCRIPTION``, ``EXAMPLES``, ``add_arguments(parser)`` and ``run(parsed)``, which returns the exit status.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import Any

from mediaserver.cli.parser import Parser
from mediaserver.cli.subcommands import teach
from mediaserver.errors import PackageConflict, UserError, is_out_of_memory
from mediaserver.packages import OWN_ENVIRONMENT, conflict

VERBS = {
    "serve": "run the server",
    "replay": "play recordings or a camera into a server",
    "compare": "compare the results of two replays",
    "demo": "start a server and play a clip into it",
    "doctor": "check this machine and list what to fix",
    "models": "list, fetch, check, add and export models",
    "triton": "run NVIDIA Triton on this machine; write model repositories",
    "dev-cloud": "try the GPU machine on demand without AWS",
    "heartbeat": "report the number of live sessions to CloudWatch once",
}
_OVERVIEW = """\
mediaserver: real-time computer vision over WebRTC.

First steps:
  mediaserver demo               play a clip, then serve a page for your camera
  mediaserver serve              run the server at http://127.0.0.1:8080/
  mediaserver replay clip.mp4    play a recording into it, in another terminal

All commands: mediaserver --help"""
_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a verb; returns the exit status. A `UserError` is one line on stderr."""
    try:
        parsed = _parser().parse_args(arguments)
        return int(parsed.run(parsed))
    except UserError as exc:
        print(f"mediaserver: {exc}", file=sys.stderr)  # noqa: T201 - output of the command line
        return exc.exit_status
    except KeyboardInterrupt:
        return _INTERRUPTED
    except Exception as exc:
        if not is_out_of_memory(exc):
            raise
        print("mediaserver: out of memory (look at ulimit -v, and at what else runs here)", file=sys.stderr)  # noqa: T201
        return 1


def parser_of(verb: str) -> Parser:
    """The parser of a verb, with all of its arguments."""
    module = _module(verb.replace("-", "_"))
    parser = Parser(prog=f"mediaserver {verb}", description=module.DESCRIPTION, examples=module.EXAMPLES)
    parser.set_defaults(run=module.run)
    module.add_arguments(parser)
    return parser


class _VerbParser(argparse.ArgumentParser):
    """Replaces the parser of a verb until the verb is on the command line."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As the verb's own parser does it."""
        return parser_of(self.prog.rpartition(" ")[2]).parse_args(args, namespace), []


class _Version(argparse.Action):
    """Prints the version of the installed package and exits."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object, **__: object) -> None:
        from importlib.metadata import version  # noqa: PLC0415 - slow, and needed here only

        print(f"mediaserver {version('mediaserver')}")  # noqa: T201 - output of the command line
        parser.exit()


def _module(name: str) -> Any:
    """Raises `PackageConflict` if another package has the name of one of ours."""
    try:
        return importlib.import_module(f"mediaserver.cli.{name}")
    except ImportError as exc:
        words = conflict()
        if words is None:
            raise
        raise PackageConflict(f"{words}: {OWN_ENVIRONMENT}") from exc


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="mediaserver",
        description="Real-time computer vision over WebRTC. Each command has its own --help.",
        examples=("mediaserver demo", "mediaserver serve --help"),
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    parser.set_defaults(run=lambda parsed: teach(_OVERVIEW))
    commands = parser.add_subparsers(title="commands", metavar="command", parser_class=_VerbParser)
    for verb, words in VERBS.items():
        commands.add_parser(verb, help=words)
    return parser
