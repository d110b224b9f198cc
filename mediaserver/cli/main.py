"""The command line: ``mediaserver VERB``, each with ``--help``.

The module of a verb is named after it, and imported only when the verb is on the command line. It has
``DESCRIPTION``, ``add_arguments(parser)`` and ``run(parsed)``, which returns the exit status.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from typing import Any

from mediaserver.errors import UserError

VERBS = {
    "serve": "run the server",
    "replay": "play a clip into a server",
    "demo": "start a server and play a clip into it",
    "doctor": "look at this machine, say what to fix",
    "models": "fetch, look at, check, add and export models",
    "triton": "NVIDIA Triton for a developer's machine; model repositories",
    "dev-cloud": "try the GPU machine on demand, without AWS",
    "heartbeat": "report live sessions to CloudWatch, once",
}
_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a verb; returns the exit status. A `UserError` is one line on stderr."""
    parsed = _parser().parse_args(arguments)
    try:
        return int(parsed.run(parsed))
    except UserError as exc:
        print(f"mediaserver: {exc}", file=sys.stderr)  # noqa: T201 - the command line speaks here
        return exc.exit_status
    except KeyboardInterrupt:
        return _INTERRUPTED


class _VerbParser(argparse.ArgumentParser):
    """Stands for the parser of a verb, which is made when something is to be parsed."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As the verb's own parser does it."""
        name = self.prog.rpartition(" ")[2].replace("-", "_")
        verb = importlib.import_module(f"mediaserver.cli.{name}")
        parser = argparse.ArgumentParser(prog=self.prog, description=verb.DESCRIPTION)
        parser.set_defaults(run=verb.run)
        verb.add_arguments(parser)
        return parser.parse_known_args(args, namespace)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mediaserver",
        description="Real-time computer vision over WebRTC. To see it work: mediaserver demo.",
        epilog="What a command does and takes: mediaserver COMMAND --help.",
    )
    commands = parser.add_subparsers(
        title="commands", required=True, metavar="command", parser_class=_VerbParser
    )
    for verb, words in VERBS.items():
        commands.add_parser(verb, help=words)
    return parser
