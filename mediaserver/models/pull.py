"""``mediaserver models pull``: from a source of `mediaserver.models.sources` to a model that can be used."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.prompt import Confirm

from mediaserver.errors import LicenceError, MissingPackage, ModelError, reading, writing
from mediaserver.models.download import SourceUnreachable, download
from mediaserver.models.sources import SOURCES, ModelSource
from mediaserver.models.ultralytics_export import has_exporter, to_onnx
from mediaserver.paths import model_cache

_TERMS = {
    "AGPL-3.0": "whoever lets others use it over a network must offer them the source of the whole program "
    "around it, under the same licence; Ultralytics sells another one"
}
"""What people who accept a licence should know, in a few words."""


async def pull(name: str, mirror: str | None, *, accept_licence: bool, console: Console) -> Path:
    """Fetches a model into the cache and returns its ONNX file; one that is there already stays.

    ``mirror`` is a folder or an HTTP address in place of the official source. Raises `ModelError` where the
    name is unknown, `MissingPackage`, `LicenceError` where the licence is not accepted, `UnreadableFile`
    where the one that is there cannot be read; else as `mediaserver.models.download.download`.
    """
    source = SOURCES.get(name)
    if source is None:
        raise ModelError(f"no model {name!r} in the catalogue; it has {', '.join(SOURCES)}")
    target = model_cache() / f"{name}.onnx"
    if await asyncio.to_thread(_is_there, source, target):
        console.print(f"{name} is there already", highlight=False)
        return target
    if source.is_weights and not has_exporter():
        raise MissingPackage(
            f"{name} comes as PyTorch weights, which the package 'ultralytics' ({source.licence}) makes an "
            f"ONNX file of: pip install 'mediaserver[ultralytics]'"
        )
    _agree(name, source, accepted=accept_licence, console=console)
    fetched = model_cache() / source.file_name
    await _download(source, mirror, fetched, console)
    if source.is_weights:
        with console.status("making an ONNX file of the weights"):
            await asyncio.to_thread(_convert, fetched, target)
    return target


def _is_there(source: ModelSource, target: Path) -> bool:
    with reading(target):
        if not target.is_file():
            return False
        if source.is_weights:  # its export is another file with each version of the exporter
            return True
        with target.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == source.sha256


def _agree(name: str, source: ModelSource, *, accepted: bool, console: Console) -> None:
    """Raises `LicenceError` unless the licence is permissive or accepted."""
    console.print(f"{name}: {source.licence}, {source.size / 1e6:.1f} MB", highlight=False)
    if source.is_permissive:
        return
    console.print(f"{source.licence}: {_TERMS[source.licence]}.", highlight=False)
    if accepted:
        return
    if not sys.stdin.isatty():
        raise LicenceError(
            f"{name} is under {source.licence}, which must be accepted: --accept-licence does so"
        )
    if not _confirmed(console):
        raise LicenceError(f"{name} was not fetched: its licence {source.licence} was not accepted")


def _confirmed(console: Console) -> bool:
    try:
        return Confirm.ask("Accept this licence?", console=console, default=False)
    except EOFError:  # Ctrl-D
        return False


async def _download(source: ModelSource, mirror: str | None, target: Path, console: Console) -> None:
    place = source.url if mirror is None else f"{mirror.rstrip('/')}/{source.file_name}"
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        console=console,
    ) as progress:
        bar = progress.add_task(source.file_name, total=source.size)
        try:
            await download(
                place,
                target,
                size=source.size,
                sha256=source.sha256,
                on_progress=lambda done: progress.update(bar, completed=done),
            )
        except SourceUnreachable as exc:
            raise SourceUnreachable(
                f"{exc}. Nothing was changed: models that are there go on being used, else those built in. "
                f"MEDIASERVER_MODEL_MIRROR names another place to fetch from"
            ) from exc


def _convert(weights: Path, target: Path) -> None:
    """ONNX in place of the weights; there is nothing half made where it fails."""
    with writing(target):
        with tempfile.TemporaryDirectory(dir=weights.parent) as folder:
            copy = Path(shutil.copy(weights, folder))
            to_onnx(copy).replace(target)
        weights.unlink()
