"""The command line: ``mediaserver serve | replay | demo | models | triton``."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from mediaserver.cli_models import add_models
from mediaserver.cli_triton import add_triton
from mediaserver.client import Channel, ClientError
from mediaserver.clip import ClipError
from mediaserver.settings import SettingsError, describe, load
from mediaserver.triton_server import TritonServerError

_USAGE_ERROR = 2
_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns the exit status. Errors are one line on stderr."""
    parsed = _parser().parse_args(arguments)
    try:
        return int(parsed.run(parsed))
    except SettingsError as exc:
        return _fail(exc, _USAGE_ERROR)
    except (ClientError, ClipError, TritonServerError, OSError) as exc:
        return _fail(exc, 1)
    except KeyboardInterrupt:
        return _INTERRUPTED


def _fail(error: Exception, status: int) -> int:
    print(f"mediaserver: {error}", file=sys.stderr)  # noqa: T201 - the command line speaks here
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mediaserver", description="Real-time computer vision over WebRTC.")
    commands = parser.add_subparsers(required=True, metavar="command")
    _add_serve(commands.add_parser("serve", help="run the server", description=_SERVE))
    _add_replay(commands.add_parser("replay", help="play a clip into a server", description=_REPLAY))
    _add_demo(commands.add_parser("demo", help="start a server and play a clip into it", description=_DEMO))
    add_models(commands.add_parser("models", help="look at, check, add and export models"))
    add_triton(
        commands.add_parser("triton", help="NVIDIA Triton for a developer's machine; model repositories")
    )
    return parser


_SERVE = (
    "Serves /ws/inference, /healthz, /readyz, /metrics and the page at /. Each option can also be set by the "
    "environment variable in brackets or, under its name, in a TOML file; the command line wins."
)
_REPLAY = "Plays a recorded clip into a server over real WebRTC, in real time, and shows what comes back."
_DEMO = "Starts a server, plays a clip into it, prints a summary and keeps serving."


def _add_serve(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="TOML file with settings [MEDIASERVER_CONFIG]"
    )
    for setting in describe():
        default = "" if setting.default in (None, ()) else f" Default: {_in_words(setting.default)}."
        allowed = setting.allowed[0].upper() + setting.allowed[1:]
        parser.add_argument(
            f"--{setting.key.replace('_', '-')}",
            dest=setting.key,
            metavar="VALUE",
            help=f"{setting.description} {allowed}.{default} [{setting.variable}]",
        )
    parser.set_defaults(run=_run_serve)


def _in_words(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _run_serve(parsed: argparse.Namespace) -> int:
    from mediaserver.serve import serve  # noqa: PLC0415 - replay and --help need no inference engine

    given = {setting.key: getattr(parsed, setting.key) for setting in describe()}
    command_line = {key: value for key, value in given.items() if value is not None}
    return serve(load(command_line=command_line, config_file=parsed.config))


def _add_replay(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("clip", type=Path, help="any video file that PyAV reads")
    parser.add_argument("--url", default="ws://127.0.0.1:8080/ws/inference", help="default: %(default)s")
    parser.add_argument(
        "--models",
        type=_stages,
        metavar="LIST",
        help="of detect,pose,ocr,flow; default: the server's",
    )
    parser.add_argument(
        "--channel",
        type=Channel,
        choices=list(Channel),
        default=Channel.DATACHANNEL,
        help="default: %(default)s",
    )
    parser.add_argument("--token", help="session token, where the server asks for one")
    parser.add_argument(
        "--relay-only", action="store_true", help="send media through the server's TURN server, no other way"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="write each result as a line of JSON")
    parser.add_argument("--annotate", type=Path, metavar="FILE", help="write the clip with results drawn in")
    parser.add_argument("--duration", type=_seconds, metavar="S", help="stop after S seconds of the clip")
    parser.add_argument("--json", action="store_true", help="print the summary as one line of JSON")
    parser.set_defaults(run=_run_replay)


def _run_replay(parsed: argparse.Namespace) -> int:
    from mediaserver.replay import ReplayRequest, replay, summary_table  # noqa: PLC0415

    request = ReplayRequest(
        parsed.clip,
        parsed.url,
        parsed.models,
        parsed.channel,
        parsed.token,
        parsed.relay_only,
        parsed.out,
        parsed.annotate,
        parsed.duration,
    )
    console = Console(stderr=True)
    summary = asyncio.run(replay(request, console))
    if parsed.json:
        print(summary.as_json(), flush=True)  # noqa: T201 - the command's output
    else:
        Console().print(summary_table(summary, parsed.clip.name))
    return 0 if summary.results else 1


def _add_demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("clip", type=Path, help="any video file that PyAV reads")
    parser.add_argument(
        "--engine", choices=("embedded", "triton"), default="embedded", help="default: %(default)s"
    )
    parser.add_argument("--once", action="store_true", help="end after the summary")
    parser.set_defaults(run=_run_demo)


def _run_demo(parsed: argparse.Namespace) -> int:
    from mediaserver.demo import demo  # noqa: PLC0415

    return asyncio.run(demo(parsed.clip, engine=parsed.engine, once=parsed.once, console=Console()))


def _stages(text: str) -> tuple[str, ...]:
    from mediaserver.replay import STAGES  # noqa: PLC0415

    names = tuple(name.strip() for name in text.split(",") if name.strip())
    unknown = [name for name in names if name not in STAGES]
    if unknown or not names:
        raise argparse.ArgumentTypeError(f"{text!r}: give a list of {','.join(STAGES)}")
    return names


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r}: give a number of seconds above 0")
    return seconds
