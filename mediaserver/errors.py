"""Errors that end a command with one clear line instead of a traceback.

``UserError``                exit status 1
  ├─ ``UsageError``           what was asked for cannot be done as it was asked; exit status 2
  │    ├─ ``SettingsError``      a setting cannot be used
  │    ├─ ``AddressError``       the server cannot listen where it should
  │    ├─ ``ModelError``         a model is missing or cannot be used
  │    ├─ ``LicenceError``       a licence was not accepted
  │    ├─ ``MissingPackage``     an optional package is needed
  │    └─ ``UnreadableFile``     a file that was named cannot be read
  ├─ ``OutputError``          something cannot be written
  ├─ ``ClientError``          `mediaserver.client.errors`: the Python client cannot go on
  ├─ ``ClipError``            `mediaserver.client.clip`: a clip cannot be played
  ├─ ``DownloadError``        `mediaserver.models.download`: a file cannot be fetched
  ├─ ``TritonServerError``    `mediaserver.models.local_triton`: Triton cannot be fetched or started
  └─ ``HeartbeatError``       `mediaserver.telemetry.cloudwatch`: the heartbeat cannot be sent
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path


class UserError(Exception):
    """Its message is one line for the person who typed the command; ``exit_status`` is the command's."""

    exit_status = 1


class UsageError(UserError):
    """What was asked for cannot be done as it was asked: trying again changes nothing."""

    exit_status = 2


class SettingsError(UsageError):
    """A setting cannot be used."""


class AddressError(UsageError):
    """The server cannot listen where it should: the port is taken, or the address is not this machine's."""


class ModelError(UsageError):
    """A model is missing or cannot be used."""


class LicenceError(UsageError):
    """A licence that asks for it was not accepted."""


class MissingPackage(UsageError):
    """An optional package is needed."""


class UnreadableFile(UsageError):
    """A file that was named cannot be read, or is not what it should be."""


class OutputError(UserError):
    """A file, a folder or standard output cannot be written: not there, not allowed, full."""


@contextlib.contextmanager
def reading(source: Path) -> Iterator[None]:
    """Around the code that reads ``source``: an `OSError` becomes an `UnreadableFile` that names it."""
    try:
        yield
    except OSError as exc:
        raise UnreadableFile(f"cannot read {source}: {exc.strerror or exc}") from exc


@contextlib.contextmanager
def writing(target: Path | str) -> Iterator[None]:
    """Around the code that writes ``target``: an `OSError` becomes an `OutputError` that names it."""
    try:
        yield
    except OSError as exc:
        raise OutputError(f"cannot write {target}: {exc.strerror or exc}") from exc
