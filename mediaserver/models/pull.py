"""``mediaserver models pull``: fetches models of `mediaserver.models.sources` and converts them to ONNX."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console
from rich.prompt import Confirm

from mediaserver.errors import LicenceError, MissingPackage, ModelError, reading, writing
from mediaserver.models.fetch import Places, fetch, is_whole
from mediaserver.models.sources import SOURCES, Format, ModelSource
from mediaserver.models.ultralytics_export import has_exporter, how_to_install, to_onnx
from mediaserver.paths import model_cache

_TERMS = {
    "AGPL-3.0": "if you let others use it over a network, you must offer them the source of the whole "
    "program around it, under the same licence; Ultralytics sells another licence"
}
"""Summaries of licences that need acceptance."""


def pull(names: Sequence[str], places: Places, *, accept_licence: bool, console: Console) -> list[Path]:
    """Fetches models into the cache, except those already there, and returns their files. Blocks.

    Raises `ModelError` if a name is unknown or a conversion fails, `LicenceError` if a licence is not
    accepted, and `MissingPackage`. Raises `UnreadableFile` if a cached file cannot be read. Raises the errors
    of `mediaserver.models.fetch.fetch`.
    """
    for name in names:
        if name not in SOURCES:
            raise ModelError(f"no model {name!r} in the catalogue; it has {', '.join(SOURCES)}")
    missing = {}
    for name in names:
        if _is_there(name, SOURCES[name]):
            console.print(f"{name} is there already", highlight=False)
        else:
            missing[name] = SOURCES[name]
    for name, source in missing.items():
        _check_tools(name, source)
        # Before an event loop runs, as it would keep the first Ctrl-C from the question.
        _agree(name, source, accepted=accept_licence, console=console)
    if missing:
        fetch(missing.values(), places, model_cache(), console)
    for name, source in missing.items():
        _make(name, source, console)
    _discard(missing.values())
    return [_target(name) for name in names]


def _target(name: str) -> Path:
    return model_cache() / f"{name}.onnx"


def _is_there(name: str, source: ModelSource) -> bool:
    with reading(_target(name)):
        if source.format is Format.ONNX:
            return is_whole(source.files[0], _target(name))
        return _target(name).is_file()  # a converted file has no fixed checksum


def _check_tools(name: str, source: ModelSource) -> None:
    if source.format is Format.PYTORCH and not has_exporter():
        raise MissingPackage(
            f"{name} comes as PyTorch weights, which the package 'ultralytics' ({source.licence}) "
            f"converts to ONNX: {how_to_install()}"
        )
    if source.format is Format.TENSORFLOW_JS:
        import mediaserver.models.conversion  # noqa: F401, PLC0415 - may raise, before the download


def _agree(name: str, source: ModelSource, *, accepted: bool, console: Console) -> None:
    """Asks for acceptance of a licence that is not permissive. Raises `LicenceError` if it is refused."""
    words = f"{name}: {source.licence}, {source.size / 1e6:.1f} MB; {source.authors}"
    console.print(words, highlight=False)
    if source.is_permissive:
        return
    console.print(f"{source.licence}: {_TERMS[source.licence]}.", highlight=False)
    if accepted:
        return
    if not sys.stdin.isatty():
        raise LicenceError(f"{name} is under {source.licence}, which must be accepted: pass --accept-licence")
    if not _confirmed(console):
        raise LicenceError(f"{name} was not fetched: its licence {source.licence} was not accepted")


def _confirmed(console: Console) -> bool:
    try:
        return Confirm.ask("Accept this licence?", console=console, default=False)
    except EOFError:  # Ctrl-D
        return False


def _make(name: str, source: ModelSource, console: Console) -> None:
    """Makes the ONNX file from the fetched files, and writes the licence beside it.

    If it fails, no incomplete model remains.
    """
    fetched, target = [model_cache() / file.name for file in source.files], _target(name)
    with writing(target), tempfile.TemporaryDirectory(dir=model_cache()) as folder:
        notices = fetched[2:]
        text = "\n\n".join(
            (f"{source.licence}\n{source.authors}", *(path.read_text("utf-8") for path in notices))
        )
        target.with_suffix(".licence.txt").write_text(f"{text}\n", "utf-8")
        made = Path(folder) / target.name
        if source.format is Format.PYTORCH:
            with console.status("making an ONNX file of the weights"):
                to_onnx(Path(shutil.copy(fetched[0], folder))).replace(target)
        elif source.format is Format.TENSORFLOW_JS:
            from mediaserver.models.conversion import convert  # noqa: PLC0415 - needs an extra

            with console.status("making an ONNX file of the graph"):
                difference = convert(name, fetched[0], fetched[1], made)
            made.replace(target)
            console.print(
                f"{name}: converted; differs from the original by {difference:.0e} at most", highlight=False
            )


def _discard(sources: Iterable[ModelSource]) -> None:
    """Removes the fetched files from which models were converted."""
    for source in sources:
        if source.format is not Format.ONNX:
            for file in source.files:
                (model_cache() / file.name).unlink(missing_ok=True)
