"""Fetches files of an npm package with the npm client, which uses the registry configured on this machine.

The errors::

    DownloadError
      └─ NpmError  npm is missing, or cannot fetch the package
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from subprocess import DEVNULL, PIPE

from mediaserver.errors import writing
from mediaserver.models.download import DownloadError, OnProgress
from mediaserver.models.sources import NpmPackage, SourceFile
from mediaserver.paths import temporary_folder

_TIMEOUT_S = 900.0
_LOOK_S = 0.2
_OPTIONS = (
    *("--ignore-scripts", "--loglevel=error"),
    # Without a network npm would by default retry for a minute.
    *("--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=1000"),
)
_ROOT = "package"
"""The folder of all files in a package's archive."""


class NpmError(DownloadError):
    """The npm client cannot fetch the package."""


def has_npm() -> bool:
    """Whether an npm client is installed."""
    return shutil.which("npm") is not None


def unpack(package: NpmPackage, files: Sequence[SourceFile], folder: Path, on_progress: OnProgress) -> None:
    """Fetches the whole package, and writes only ``files`` of it into ``folder``. Blocks.

    ``on_progress`` is called with the bytes received so far. The caller must verify the checksums of the
    files. Raises `NpmError`, `mediaserver.errors.OutputError`.
    """
    with temporary_folder("npm") as archive_folder:
        archive = _pack(package, archive_folder, on_progress)
        try:
            with tarfile.open(archive) as members:
                for file in files:
                    _extract(members, file, folder / file.name)
        except (tarfile.TarError, KeyError, EOFError) as exc:
            raise NpmError(f"{package.name} {package.version} is not what was expected: {exc}") from exc


def _pack(package: NpmPackage, folder: Path, on_progress: OnProgress) -> Path:
    """Downloads the package's archive. npm verifies it against the registry's checksum."""
    wanted = f"{package.name}@{package.version}"
    command = ("npm", "pack", wanted, "--pack-destination", str(folder), *_OPTIONS)
    try:
        incoming = _Incoming()
        with subprocess.Popen(command, cwd=folder, stdout=DEVNULL, stderr=PIPE, text=True) as process:
            try:
                complaints = _complaints(process, lambda: on_progress(min(incoming.bytes(), package.size)))
            except BaseException:
                process.kill()
                raise
    except OSError as exc:
        raise NpmError(f"npm cannot be started: {exc.strerror}") from exc
    except subprocess.TimeoutExpired as exc:
        raise NpmError(f"npm did not get {wanted} within {_TIMEOUT_S:g} s") from exc
    archives = list(folder.glob("*.tgz"))
    if process.returncode != 0 or len(archives) != 1:
        words = (complaints.strip().splitlines() or ["no error message"])[-1]
        raise NpmError(f"npm cannot fetch {wanted}: {words[:200]}")
    on_progress(package.size)
    return archives[0]


def _complaints(process: subprocess.Popen[str], look: Callable[[], None]) -> str:
    """Returns the process's standard error after its end, and calls ``look`` every 0.2 s meanwhile.

    Raises `TimeoutExpired`.
    """
    ends = time.monotonic() + _TIMEOUT_S
    while True:
        try:
            return process.communicate(timeout=_LOOK_S)[1]
        except subprocess.TimeoutExpired:
            if time.monotonic() > ends:
                raise
            look()


class _Incoming:
    """Measures npm's progress by the size of a new file in its cache, as npm does not report it."""

    def __init__(self) -> None:
        asked = subprocess.run(
            ("npm", "config", "get", "cache"), capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
        self._folder = Path(asked.stdout.strip() or os.devnull) / "_cacache" / "tmp"
        self._before = set(self._sizes())
        self._most = 0

    def bytes(self) -> int:
        """Returns the number of bytes received, which does not decrease."""
        new = [size for name, size in self._sizes().items() if name not in self._before]
        self._most = max(self._most, *new, 0)
        return self._most

    def _sizes(self) -> dict[str, int]:
        try:
            return {entry.name: entry.stat().st_size for entry in os.scandir(self._folder)}
        except OSError:  # the folder does not exist yet, or npm has removed a file
            return {}


def _extract(archive: tarfile.TarFile, file: SourceFile, target: Path) -> None:
    """Extracts one file. Raises `KeyError` if the archive has no such file of the right size."""
    member = archive.getmember(f"{_ROOT}/{file.place}")
    content = archive.extractfile(member)
    if content is None or member.size != file.size:
        raise KeyError(f"{file.place} is no file of {file.size} bytes")
    with content, writing(target), target.open("wb") as out:
        shutil.copyfileobj(content, out)
