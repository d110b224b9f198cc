"""Fetches the files of `mediaserver.models.sources`.

If a mirror is set, all files come from the mirror. Otherwise files come from their authors. Files of an npm
package come one by one from a public copy of npm's registry. If that fails, the npm client fetches the whole
package. Checksums are always verified.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from mediaserver.errors import reading, writing
from mediaserver.models import npm_package
from mediaserver.models.download import DownloadError, SourceUnreachable, discard_partial, download, sha256_of
from mediaserver.models.sources import ModelSource, NpmPackage, SourceFile

_STAYS = (
    "Nothing was changed: existing or built-in models stay in use. "
    "MEDIASERVER_MODEL_MIRROR names another place to fetch from"
)


@dataclass(frozen=True, slots=True)
class Places:
    """The sources of downloads.

    ``mirror`` is a folder or an HTTP address that replaces all other sources. ``cdn`` is the address pattern
    for files of npm packages, as in the setting ``model_cdn``.
    """

    mirror: str | None
    cdn: str

    def address(self, file: SourceFile, package: NpmPackage | None) -> str:
        """Returns the address of a file, a URL or a path."""
        if self.mirror is not None:
            return f"{self.mirror.rstrip('/')}/{file.name}"
        return file.place if package is None else package.address(self.cdn, file.place)


def fetch(sources: Iterable[ModelSource], places: Places, folder: Path, console: Console) -> None:
    """Fetches the files of all ``sources`` into ``folder``, except files that are complete there. Blocks.

    Raises `DownloadError`, `mediaserver.errors.OutputError`.
    """
    wanted = {file: source.package for source in sources for file in source.files}
    missing = {file: package for file, package in wanted.items() if not is_whole(file, folder / file.name)}
    try:
        asyncio.run(_download(missing, places, folder, console))
    except DownloadError as exc:
        packages = set(missing.values())
        (package, *others) = packages or {None}
        if package is None or others or places.mirror is not None:
            raise _explained(exc) from exc
        left = [file for file in missing if not is_whole(file, folder / file.name)]
        _from_npm(package, left, folder, console, exc)


def is_whole(file: SourceFile, path: Path) -> bool:
    """Whether ``path`` exists with the right size and checksum. Raises `UnreadableFile`."""
    with reading(path):
        if not path.is_file() or path.stat().st_size != file.size:
            return False
        with path.open("rb") as content:
            return sha256_of(content) == file.sha256


async def _download(
    files: Mapping[SourceFile, NpmPackage | None], places: Places, folder: Path, console: Console
) -> None:
    with _progress(console) as progress:
        for file, package in files.items():
            bar = progress.add_task(file.name, total=file.size)
            try:
                await download(
                    places.address(file, package),
                    folder / file.name,
                    size=file.size,
                    sha256=file.sha256,
                    on_progress=lambda done, bar=bar: progress.update(bar, completed=done),  # type: ignore[misc]
                )
            except DownloadError:
                progress.remove_task(bar)  # the error message replaces it
                raise


def _from_npm(
    package: NpmPackage, files: Sequence[SourceFile], folder: Path, console: Console, failure: DownloadError
) -> None:
    """Fetches the whole package with the npm client, and extracts ``files``."""
    if not npm_package.has_npm():
        raise type(failure)(
            f"{failure}; the npm client, which could fetch it from npm's registry, is not installed "
            f"(Debian: apt-get install npm). {_STAYS}"
        ) from failure
    console.print(f"{failure}. npm gets the whole package instead.", highlight=False)
    with writing(folder), tempfile.TemporaryDirectory(dir=folder) as unpacked:
        with _progress(console) as progress:
            bar = progress.add_task(f"npm: {package.name} {package.version}", total=package.size)
            npm_package.unpack(
                package, files, Path(unpacked), lambda done: progress.update(bar, completed=done)
            )
        for file in files:
            path = Path(unpacked) / file.name
            if not is_whole(file, path):
                raise DownloadError(f"{file.name} of {package.name} is not the file that was expected")
            path.replace(folder / file.name)
            discard_partial(folder / file.name)


def _progress(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    return Progress(*columns, console=console)


def _explained(exc: DownloadError) -> DownloadError:
    return SourceUnreachable(f"{exc}. {_STAYS}") if isinstance(exc, SourceUnreachable) else exc
