"""Errors that end a command with one line instead of a traceback.

The hierarchy::

    UserError                exit status 1
      ├─ UsageError          the command cannot succeed as given; exit status 2
      │    ├─ SettingsError    a setting cannot be used
      │    ├─ AddressError     the server cannot listen on the address or port
      │    ├─ ModelError       a model is missing or cannot be used
      │    ├─ LicenceError     a licence was not accepted
      │    ├─ MissingPackage   an optional package is needed
      │    ├─ PackageConflict  another distribution has a package of the same name
      │    └─ UnreadableFile   a named file cannot be read
      ├─ OutputError         a file or standard output cannot be written
      ├─ ClientError         mediaserver.client.errors: the Python client cannot go on
      ├─ ClipError           mediaserver.client.errors: a clip cannot be played
      ├─ DownloadError       mediaserver.models.download: a file cannot be fetched
      ├─ TritonServerError   mediaserver.models.local_triton: Triton cannot be fetched or started
      └─ HeartbeatError      mediaserver.telemetry.cloudwatch: the heartbeat cannot be sent
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

_NO_THREAD = "can't start new thread"
"""Message of CPython if there is no memory for a thread's stack."""
_STS_NO_MEM = -4
"""``cv2.Error.StsNoMem``."""
_CANNOT_ALLOCATE = "Cannot allocate memory"
"""Message of the dynamic linker, in an ``ImportError``."""


class UserError(Exception):
    """An error with a message of one line for the user. ``exit_status`` is that of the command."""

    exit_status = 1


class UsageError(UserError):
    """The command cannot succeed as given; a retry would fail again."""

    exit_status = 2


class SettingsError(UsageError):
    """A setting cannot be used."""


class AddressError(UsageError):
    """The server cannot listen: the port is in use, or the address is not one of this machine."""


class ModelError(UsageError):
    """A model is missing or cannot be used."""


class LicenceError(UsageError):
    """A licence that requires acceptance was not accepted."""


class MissingPackage(UsageError):
    """An optional package is needed."""


class PackageConflict(UsageError):
    """Another distribution in this environment has a package with a name of the project's."""


class UnreadableFile(UsageError):
    """A named file cannot be read, or has the wrong content."""


class OutputError(UserError):
    """A file, a folder or standard output cannot be written: missing, not permitted, or full."""


@contextlib.contextmanager
def reading(source: Path) -> Iterator[None]:
    """Converts an `OSError` in the block to an `UnreadableFile` that names ``source``."""
    try:
        yield
    except OSError as exc:
        raise UnreadableFile(f"cannot read {source}: {exc.strerror or exc}") from exc


@contextlib.contextmanager
def writing(target: Path | str) -> Iterator[None]:
    """Converts an `OSError` in the block to an `OutputError` that names ``target``."""
    try:
        yield
    except OSError as exc:
        raise OutputError(f"cannot write {target}: {exc.strerror or exc}") from exc


def is_out_of_memory(error: BaseException) -> bool:
    """Whether ``error``, or one error of a group, reports that memory is exhausted."""
    match error:
        case MemoryError():  # also of NumPy and PyAV
            return True
        case OSError():  # EAGAIN: FFmpeg cannot start a thread
            return error.errno in (errno.ENOMEM, errno.EAGAIN)
        case RuntimeError():
            return _NO_THREAD in str(error)
        case ImportError():
            return _CANNOT_ALLOCATE in str(error)
        case BaseExceptionGroup():
            return any(map(is_out_of_memory, error.exceptions))
    return type(error).__module__ == "cv2" and getattr(error, "code", None) == _STS_NO_MEM
