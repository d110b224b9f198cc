"""``mediaserver triton fetch | start | repository``."""

from __future__ import annotations

import argparse
import asyncio
import signal
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from mediaserver.cli.models import missing_package
from mediaserver.errors import SettingsError
from mediaserver.models.local_triton import TritonPorts, fetch, triton_server
from mediaserver.settings.model import load


def add_triton(parser: argparse.ArgumentParser) -> None:
    """Adds the commands to the parser of ``mediaserver triton``."""
    ports = {f"{name}_port": port for name, port in asdict(TritonPorts()).items()}
    parser.add_argument(
        "--flavour", choices=("cpu",), default="cpu", help="what the Triton that is fetched can run"
    )
    parser.set_defaults(run=_run_start, models=None, detect_model=None, pose_model=None, **ports)
    commands = parser.add_subparsers(metavar="command", help="default: start")
    fetching = commands.add_parser("fetch", help="download the Triton for this machine's processor")
    fetching.set_defaults(run=_run_fetch)

    starting = commands.add_parser("start", help="serve the models with it until Ctrl-C")
    _add_models(starting)
    for name, port in asdict(TritonPorts()).items():
        starting.add_argument(
            f"--{name}-port", type=int, default=port, metavar="PORT", help="default: %(default)s"
        )
    starting.set_defaults(run=_run_start)

    writing = commands.add_parser("repository", help="write a model repository for any Triton")
    writing.add_argument("directory", type=Path, help="where it goes; made if it is not there")
    _add_models(writing)
    writing.add_argument(
        "--flavour",
        choices=("cpu", "onnx", "tensorrt"),
        default="tensorrt",
        help="as triton/README.md describes them; default: %(default)s",
    )
    writing.set_defaults(run=_run_repository)


def _add_models(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--models", type=Path, metavar="DIR", help="folder with ONNX models [MEDIASERVER_MODELS]"
    )
    parser.add_argument("--detect-model", metavar="NAME", help="detector [MEDIASERVER_DETECT_MODEL]")
    parser.add_argument("--pose-model", metavar="NAME", help="pose model [MEDIASERVER_POSE_MODEL]")


def _run_fetch(parsed: argparse.Namespace) -> int:
    console = Console()
    with console.status("fetching Triton, 55 MB"):
        server = fetch()
    console.print(f"Triton is in {server}", soft_wrap=True)
    return 0


def _run_start(parsed: argparse.Namespace) -> int:
    ports = TritonPorts(parsed.http_port, parsed.grpc_port, parsed.metrics_port)
    with tempfile.TemporaryDirectory(prefix="mediaserver-triton-") as folder:
        write_models(Path(folder), "cpu", _given(parsed))
        return asyncio.run(_serve(Path(folder), ports, Console()))


def _run_repository(parsed: argparse.Namespace) -> int:
    write_models(parsed.directory, parsed.flavour, _given(parsed))
    Console().print(f"model repository: {parsed.directory}", soft_wrap=True)
    return 0


def _given(parsed: argparse.Namespace) -> dict[str, str]:
    given = {key: getattr(parsed, key) for key in ("models", "detect_model", "pose_model")}
    return {key: str(value) for key, value in given.items() if value is not None}


def write_models(directory: Path, flavour: str, command_line: Mapping[str, str]) -> None:
    """Writes a repository of the models that the settings name. Raises `SettingsError`."""
    from inference.catalogue import CatalogueError  # noqa: PLC0415 - --help needs no models
    from mediaserver.models.files import files_in_use  # noqa: PLC0415

    try:
        from mediaserver.models.triton_repository import Flavour, write_repository  # noqa: PLC0415
    except ModuleNotFoundError as exc:
        raise missing_package(exc) from exc
    settings = load(command_line=command_line)
    try:
        write_repository(directory, files_in_use(settings), Flavour(flavour))
    except CatalogueError as exc:
        raise SettingsError(str(exc)) from exc


async def _serve(repository: Path, ports: TritonPorts, console: Console) -> int:
    """Until Triton ends by itself, or a signal ends this and Triton with it."""
    serving = asyncio.ensure_future(_run_triton(repository, ports, console))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, serving.cancel)
    try:
        return await serving
    except asyncio.CancelledError:
        return 0


async def _run_triton(repository: Path, ports: TritonPorts, console: Console) -> int:
    with console.status("fetching and starting Triton") as status:
        server = await asyncio.to_thread(fetch)
        async with triton_server(server, repository, ports) as triton:
            status.stop()
            console.print(
                f"Triton is ready: gRPC {triton.grpc}, metrics {triton.metrics_url}", soft_wrap=True
            )
            console.print("Use it: mediaserver serve --engine triton. Ctrl-C ends it.", soft_wrap=True)
            return await triton.process.wait()
