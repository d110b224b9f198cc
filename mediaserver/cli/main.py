"""The command line: ``mediaserver COMMAND``, each with ``--help``."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from mediaserver.cli.dev_cloud import add_dev_cloud
from mediaserver.cli.doctor import add_doctor
from mediaserver.cli.models import add_models
from mediaserver.cli.triton import add_triton
from mediaserver.client.client import Channel, ClientError
from mediaserver.client.clip import ClipError
from mediaserver.errors import SettingsError
from mediaserver.models.download import DownloadError
from mediaserver.models.local_triton import TritonServerError
from mediaserver.settings.model import describe, load
from mediaserver.telemetry.cloudwatch import INSTANCE_VARIABLE, HeartbeatError, live_sessions, report

_USAGE_ERROR = 2
_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command; returns the exit status. Errors are one line on stderr."""
    parser = _parser()
    parsed, unknown = parser.parse_known_args(arguments)
    if unknown and not parsed.passes_on:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    parsed.passed_on = unknown
    try:
        return int(parsed.run(parsed))
    except SettingsError as exc:
        return _fail(exc, _USAGE_ERROR)
    except (ClientError, ClipError, DownloadError, HeartbeatError, TritonServerError, OSError) as exc:
        return _fail(exc, 1)
    except KeyboardInterrupt:
        return _INTERRUPTED


def _fail(error: Exception, status: int) -> int:
    print(f"mediaserver: {error}", file=sys.stderr)  # noqa: T201 - the command line speaks here
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="mediaserver", description="Real-time computer vision over WebRTC.")
    parser.set_defaults(passes_on=False)
    commands = parser.add_subparsers(required=True, metavar="command")
    _add_serve(commands.add_parser("serve", help="run the server", description=_SERVE))
    _add_replay(commands.add_parser("replay", help="play a clip into a server", description=_REPLAY))
    _add_demo(commands.add_parser("demo", help="start a server and play a clip into it", description=_DEMO))
    add_doctor(
        commands.add_parser("doctor", help="look at this machine, say what to fix", description=_DOCTOR)
    )
    add_models(commands.add_parser("models", help="fetch, look at, check, add and export models"))
    add_triton(
        commands.add_parser("triton", help="NVIDIA Triton for a developer's machine; model repositories")
    )
    add_dev_cloud(
        commands.add_parser("dev-cloud", help="try the GPU machine on demand, without AWS", add_help=False)
    )
    _add_heartbeat(
        commands.add_parser(
            "heartbeat", help="report live sessions to CloudWatch, once", description=_HEARTBEAT
        )
    )
    return parser


_SERVE = (
    "Serves /ws/inference, /healthz, /readyz, /metrics and the page at /. Each option can also be set by the "
    "environment variable in brackets or, under its name, in a TOML file; the command line wins."
)
_REPLAY = "Plays a recorded clip into a server over real WebRTC, in real time, and shows what comes back."
_HEARTBEAT = (
    f"Asks the server how many sessions live and tells CloudWatch, for the instance in {INSTANCE_VARIABLE}; "
    "without that variable it does nothing. For a timer, once a minute."
)
_DOCTOR = (
    "Checks Python, packages, models, ports, UDP, Triton, what browsers need, clock and memory, for the "
    "settings as they are, and says what to fix. Ends with 1 where something will not work."
)
_DEMO = "Starts a server, plays a clip into it, prints a summary and keeps serving."


def _add_serve(parser: argparse.ArgumentParser) -> None:
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
    parser.set_defaults(run=_run_serve)


def _in_words(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _run_serve(parsed: argparse.Namespace) -> int:
    from mediaserver.server.run import serve  # noqa: PLC0415 - replay and --help need no inference engine

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
    from mediaserver.cli.replay import ReplayRequest, replay, summary_table  # noqa: PLC0415

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
    parser.add_argument(
        "clip",
        type=Path,
        nargs="?",
        help="any video file that PyAV reads; default: the sample clip, a drawn street",
    )
    parser.add_argument(
        "--engine", choices=("embedded", "triton"), default="embedded", help="default: %(default)s"
    )
    parser.add_argument("--once", action="store_true", help="end after the summary")
    parser.set_defaults(run=_run_demo)


def _run_demo(parsed: argparse.Namespace) -> int:
    from mediaserver.cli.demo import demo  # noqa: PLC0415

    return asyncio.run(demo(parsed.clip, engine=parsed.engine, once=parsed.once, console=Console()))


def _add_heartbeat(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--url", help="of the server; default: this machine, at MEDIASERVER_PORT")
    parser.set_defaults(run=_run_heartbeat)


def _run_heartbeat(parsed: argparse.Namespace) -> int:
    instance = os.environ.get(INSTANCE_VARIABLE)
    if not instance:
        print(f"no heartbeat: {INSTANCE_VARIABLE} is not set")  # noqa: T201 - the command's output
        return 0
    sessions = live_sessions(parsed.url.rstrip("/") if parsed.url else load().local_url)
    report(sessions, instance)
    print(f"reported {sessions} live sessions for {instance}")  # noqa: T201 - the command's output
    return 0


def _stages(text: str) -> tuple[str, ...]:
    from mediaserver.cli.replay import STAGES  # noqa: PLC0415

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
