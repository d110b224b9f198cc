"""``python3 -m start_progress pull IMAGE`` and ``… watch --stack S --instance I [--first] --limit-s N``."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from start_progress import facts
from start_progress.docker_pull import SOCKET, Layers, PullFailed, pull
from start_progress.report import Report

_LOOK_EVERY_S = 5.0
_WRITE_EVERY_S = 1.0
_TRIES = 5
_BEGINS_WITHIN_S = 600.0


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit status.

    ``watch``: 0 when the server is ready, 1 if the start failed or lasts too long. ``pull``: 0 when the image
    is fetched.
    """
    parser = argparse.ArgumentParser(prog="start_progress", description=__doc__)
    parser.add_argument(
        "--state", type=Path, default=facts.STATE, help="folder that boot.sh writes its steps to"
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    pulling = verbs.add_parser("pull")
    pulling.add_argument("image")
    pulling.add_argument("--engine", default=SOCKET)
    watching = verbs.add_parser("watch")
    watching.add_argument("--stack", required=True)
    watching.add_argument("--instance", required=True)
    watching.add_argument("--first", action="store_true", help="nothing is installed yet")
    watching.add_argument("--limit-s", type=float, required=True)
    watching.add_argument("--readyz", default=facts.READYZ)
    options = parser.parse_args(arguments)
    if options.verb == "pull":
        return _pull(options.image, options.state / "pull.json", options.engine)
    return _watch(options)


def _pull(image: str, file: Path, engine: str) -> int:
    written_at = 0.0

    def write(layers: Layers) -> None:
        nonlocal written_at
        if time.monotonic() - written_at < _WRITE_EVERY_S:
            return
        written_at = time.monotonic()
        part = file.with_suffix(".part")
        part.write_text(json.dumps({"done": layers.done, "total": layers.total}))
        part.replace(file)

    try:
        for left in reversed(range(_TRIES)):
            try:
                pull(image, write, engine)
                return 0
            except PullFailed as error:
                sys.stderr.write(f"start_progress: {error}\n")
                if left:
                    time.sleep(_LOOK_EVERY_S)
        return 1
    finally:
        file.unlink(missing_ok=True)


def _watch(options: argparse.Namespace) -> int:
    report = Report(options.stack, options.instance)
    began = facts.uptime_s()
    # Else the machine is on already, and is given a new source.
    is_start = began < _BEGINS_WITHIN_S
    while True:
        now = facts.look(options.state, readyz=options.readyz)
        is_told = report.tell(now, first=options.first)
        if now.phase == "ready" and is_told:
            if is_start:
                report.remember(round(facts.uptime_s()), first=options.first)
            return 0
        if now.phase == "failed" or facts.uptime_s() - (0 if is_start else began) > options.limit_s:
            return 1
        time.sleep(_LOOK_EVERY_S)


if __name__ == "__main__":
    sys.exit(main())
