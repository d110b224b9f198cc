"""What commands print on standard output."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

from rich.console import Console, RenderableType

from mediaserver.errors import writing


def in_utf8(name: str) -> str:
    """The name of a file as text that can be written: bytes that are no UTF-8 as ``\\xff``."""
    return os.fsencode(name).decode(errors="backslashreplace")


def say(words: str) -> None:
    """Prints ``words`` as they are. Raises `mediaserver.errors.OutputError`."""
    with standard_output():
        print(words, flush=True)  # noqa: T201 - the command's output


def show(drawn: RenderableType) -> None:
    """Prints what Rich draws, for people. Raises `mediaserver.errors.OutputError`."""
    with standard_output():
        Console().print(drawn)


@contextlib.contextmanager
def standard_output() -> Iterator[None]:
    """Around what prints: standard output that takes nothing, as where a disk is full, raises
    `mediaserver.errors.OutputError`. A reader that has gone, as ``head`` does, ends the command in silence.
    """
    with writing("to standard output"):
        try:
            yield
        except OSError as exc:
            # What is still buffered would fail again, with a traceback, when Python ends.
            with open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), sys.stdout.fileno())
            if isinstance(exc, BrokenPipeError):
                raise SystemExit(1) from exc
            raise
