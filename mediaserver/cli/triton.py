"""``mediaserver triton fetch | start | repository | check``."""

from __future__ import annotations

import argparse
import asyncio
import signal
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path, PurePosixPath

from rich.console import Console

from inference.catalogue import CatalogueError
from inference.stages import FRAME_NETWORKS
from mediaserver.cli.output import say
from mediaserver.cli.subcommands import Subcommands
from mediaserver.errors import ModelError
from mediaserver.models.files import files_in_use
from mediaserver.models.local_triton import TritonPorts, fetch, triton_server
from mediaserver.paths import temporary_folder
from mediaserver.settings.model import load

DESCRIPTION = (
    "NVIDIA Triton runs models in a process of its own, which `mediaserver serve --engine triton` uses. "
    "`fetch` and `start` are for a Triton on this machine's processor. `repository` and `check` are for a "
    "Triton elsewhere, on GPUs."
)
EXAMPLES = ("mediaserver triton start", "mediaserver triton repository /srv/triton/models")
_MODEL_SETTINGS = ("models", *(f"{stage}_model" for stage in FRAME_NETWORKS), "pose_method")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The commands. Without a command, ``start`` runs with its defaults."""
    parser.add_argument(
        "--flavour", choices=("cpu",), default="cpu", help="the Triton that is fetched: for the processor"
    )
    ports = {f"{name}_port": port for name, port in asdict(TritonPorts()).items()}
    parser.set_defaults(command=_start, **dict.fromkeys(_MODEL_SETTINGS), **ports)
    commands = Subcommands(parser, default="start")

    commands.add(
        "fetch",
        _fetch,
        "download the Triton for this machine's processor, once",
        ("mediaserver triton fetch",),
    )

    starting = commands.add(
        "start",
        _start,
        "run Triton with the models until Ctrl-C; fetch it first if it is missing",
        ("mediaserver triton start", "mediaserver triton start --models ~/models --grpc-port 9001"),
    )
    _add_models(starting)
    for name, port in asdict(TritonPorts()).items():
        starting.add_argument(
            f"--{name}-port",
            type=int,
            default=port,
            metavar="PORT",
            help=f"TCP port for {name}; default: %(default)s",
        )

    writing = commands.add(
        "repository",
        _repository,
        "write a model repository for any Triton",
        ("mediaserver triton repository /srv/triton/models --models ~/models --flavour onnx",),
    )
    writing.add_argument("directory", type=Path, help="folder of the repository; made if it is missing")
    _add_models(writing)
    writing.add_argument(
        "--flavour",
        choices=("cpu", "onnx", "tensorrt"),
        default="onnx",
        help="cpu: ONNX Runtime on the processor. onnx: ONNX Runtime on a GPU, which builds TensorRT engines "
        "when it starts. tensorrt: plans that triton/build_plans.sh builds on that GPU. default: %(default)s",
    )
    writing.add_argument(
        "--engine-cache",
        type=PurePosixPath,
        metavar="DIR",
        help="folder for the engines of the flavour onnx. Triton must be able to write to it. Each kind of "
        "GPU needs its own. default: /var/cache/triton/engines",
    )

    checking = commands.add(
        "check",
        _check,
        "check a model repository against the rules of Triton and TensorRT",
        ("mediaserver triton check /srv/triton/models",),
    )
    checking.add_argument("directory", type=Path, help="the repository; no model of it is run")


def _add_models(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--models", type=Path, metavar="DIR", help="folder with your ONNX models [MEDIASERVER_MODELS]"
    )
    for stage in FRAME_NETWORKS:
        parser.add_argument(
            f"--{stage}-model",
            metavar="NAME",
            help=f"{stage} model, by name or path [MEDIASERVER_{stage.upper()}_MODEL]",
        )
    parser.add_argument(
        "--pose-method",
        metavar="METHOD",
        help="single-shot or top-down; default: top-down on a GPU, single-shot on the processor, if there "
        "are models for both [MEDIASERVER_POSE_METHOD]",
    )


def run(parsed: argparse.Namespace) -> int:
    """Runs the command. Raises `TritonServerError`, and as `write_models`."""
    return int(parsed.command(parsed))


def _fetch(parsed: argparse.Namespace) -> int:
    with Console().status("fetching Triton, 55 MB"):
        server = fetch()
    say(f"Triton is in {server}")
    return 0


def _start(parsed: argparse.Namespace) -> int:
    ports = TritonPorts(parsed.http_port, parsed.grpc_port, parsed.metrics_port)
    with temporary_folder("triton") as folder:
        write_models(folder, "cpu", _given(parsed))
        return asyncio.run(_serve(folder, ports))


def _repository(parsed: argparse.Namespace) -> int:
    write_models(parsed.directory, parsed.flavour, _given(parsed), parsed.engine_cache)
    say(f"model repository: {parsed.directory}")
    return 0


def _check(parsed: argparse.Namespace) -> int:
    from mediaserver.models.triton_check import check  # noqa: PLC0415 - needs an extra

    faults = check(parsed.directory)
    for fault in faults:
        say(f"{fault.model}: {fault.words}")
    say(f"{len(faults)} faults" if faults else f"{parsed.directory}: no faults found")
    return 1 if faults else 0


def _given(parsed: argparse.Namespace) -> dict[str, str]:
    given = {key: getattr(parsed, key) for key in _MODEL_SETTINGS}
    return {key: str(value) for key, value in given.items() if value is not None}


def write_models(
    directory: Path, flavour: str, command_line: Mapping[str, str], engine_cache: PurePosixPath | None = None
) -> None:
    """Writes a repository of the models that the settings name; as `write_repository`.

    Raises `SettingsError`, `ModelError`, `MissingPackage`, `OutputError`.
    """
    from mediaserver.models.triton_repository import (  # noqa: PLC0415 - needs an extra
        ENGINE_CACHE,
        Flavour,
        write_repository,
    )

    settings = load(command_line=command_line)
    try:
        write_repository(directory, files_in_use(settings), Flavour(flavour), engine_cache or ENGINE_CACHE)
    except CatalogueError as exc:
        raise ModelError(str(exc)) from exc


async def _serve(repository: Path, ports: TritonPorts) -> int:
    """Until Triton ends by itself, or a signal ends this and Triton with it."""
    serving = asyncio.ensure_future(_run_triton(repository, ports))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, serving.cancel)
    try:
        return await serving
    except asyncio.CancelledError:
        return 0


async def _run_triton(repository: Path, ports: TritonPorts) -> int:
    with Console().status("fetching and starting Triton") as status:
        server = await asyncio.to_thread(fetch)
        async with triton_server(server, repository, ports) as triton:
            status.stop()
            say(f"Triton is ready: gRPC {triton.grpc}, metrics {triton.metrics_url}")
            say("Use it: mediaserver serve --engine triton. Ctrl-C ends it.")
            return await triton.process.wait()
