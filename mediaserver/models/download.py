"""Downloads one file of known size and checksum. The target appears only when it is complete.

An incomplete download stays in ``NAME.part``, and its entity tag in ``NAME.part.version``. A later call
resumes it (RFC 9110, 14.2 Range and 13.1.5 If-Range). The errors::

    DownloadError
      └─ SourceUnreachable  the server does not answer, or the file does not exist
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BufferedRandom, BufferedReader
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

from mediaserver.errors import UserError, writing

_CHUNK_BYTES = 256 * 1024
_CONNECT_TIMEOUT_S = 10.0
_SILENCE_TIMEOUT_S = 30.0
_ATTEMPTS = 5
"""Attempts in a row without a new byte, before the download fails."""
_FIRST_PAUSE_S = 0.5
_MAX_VERSION = 1024
_CONTENT_RANGE = re.compile(r"bytes (?P<first>[0-9]{1,18})-[0-9]{1,18}/(?:[0-9]{1,18}|\*)")

OnProgress = Callable[[int], None]
"""Called with the number of bytes received so far."""


class DownloadError(UserError):
    """The file cannot be fetched."""


class SourceUnreachable(DownloadError):
    """The source cannot be reached: no network, no such host, or no such file."""


class _Cut(Exception):
    """The transfer ended early; another attempt may resume it."""


async def download(
    source: str, target: Path, *, size: int, sha256: str, on_progress: OnProgress = lambda done: None
) -> None:
    """Downloads ``source``, an HTTP URL or a path, to ``target``.

    ``target`` appears only when its size in bytes and its ``sha256`` (hexadecimal) are right. Interrupted
    transfers are resumed, in five attempts at most without progress. Raises `DownloadError`, and
    `mediaserver.errors.OutputError` if ``target`` cannot be written.
    """
    part = _part_of(target)
    with writing(target), _locked(part) as file:
        if source.lower().startswith(("http://", "https://")):
            await _Transfer(source, file, _version_of(part), size, on_progress).run()
        else:
            await asyncio.to_thread(_copy, Path(source), file, size, on_progress)
        found = await asyncio.to_thread(sha256_of, file)
        if found != sha256:
            _forget(part)
            raise DownloadError(
                f"{source}: not the file that was expected: its SHA-256 is {found}, not {sha256}"
            )
        _publish(part, target)


def _version_of(part: Path) -> Path:
    return part.with_name(f"{part.name}.version")


def discard_partial(target: Path) -> None:
    """Removes an incomplete download of ``target``."""
    _forget(_part_of(target))


def _part_of(target: Path) -> Path:
    return target.with_name(f"{target.name}.part")


def _publish(part: Path, target: Path) -> None:
    part.replace(target)
    _forget(part)


@contextlib.contextmanager
def _locked(part: Path) -> Iterator[BufferedRandom]:
    """Opens the partial file for reading and appending, and locks it against other processes."""
    part.parent.mkdir(parents=True, exist_ok=True)
    with part.open("a+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            same = os.path.samestat(os.fstat(file.fileno()), part.stat())
        except (BlockingIOError, FileNotFoundError):
            same = False
        if not same:
            raise DownloadError(f"{part.stem} is being fetched by another process")
        yield file


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _version_of(part).unlink(missing_ok=True)


def _copy(source: Path, file: BufferedRandom, size: int, on_progress: OnProgress) -> None:
    file.truncate(0)
    try:
        original = source.open("rb")
    except FileNotFoundError as exc:
        raise SourceUnreachable(f"{source}: no such file") from exc
    except OSError as exc:
        raise DownloadError(f"{source}: cannot be read: {exc.strerror}") from exc
    with original:
        while chunk := original.read(_CHUNK_BYTES):
            file.write(chunk)
            if _length(file) > size:
                raise _too_large(str(source), size)
            on_progress(_length(file))


def sha256_of(file: BufferedReader | BufferedRandom) -> str:
    """Returns the SHA-256 of a whole file in lower-case hexadecimal."""
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()


# --- HTTP ---


@dataclass(frozen=True, slots=True)
class _Transfer:
    """The download of one file over HTTP, in one or several requests.

    ``version`` is the file with the entity tag of the partial ``file``.
    """

    url: str
    file: BufferedRandom
    version: Path
    size: int
    on_progress: OnProgress

    async def run(self) -> None:
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=_CONNECT_TIMEOUT_S, sock_read=_SILENCE_TIMEOUT_S
        )
        # Range counts bytes of the file itself, so it must not come compressed.
        headers = {"Accept-Encoding": "identity"}
        reached, failures = False, 0
        async with aiohttp.ClientSession(timeout=timeout, headers=headers, trust_env=True) as http:
            while (before := _length(self.file)) != self.size:
                try:
                    await self._request(http)
                except (aiohttp.ClientError, ConnectionError, _Cut) as exc:
                    unreached = isinstance(exc, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError)
                    reached = reached or not unreached
                    if not reached:
                        host, reason = urlsplit(self.url).hostname, getattr(exc, "os_error", exc)
                        raise SourceUnreachable(f"{host} cannot be reached: {reason}") from exc
                    failures = 1 if _length(self.file) > before else failures + 1
                    if failures == _ATTEMPTS:
                        raise DownloadError(
                            f"{self.url}: given up after {failures} attempts: {_words(exc)}; "
                            f"the partial file is kept for the next attempt"
                        ) from exc
                    await asyncio.sleep(_FIRST_PAUSE_S * 2 ** (failures - 1))

    async def _request(self, http: aiohttp.ClientSession) -> None:
        """Makes one request. Raises `_Cut` or an error of aiohttp if another attempt may succeed."""
        done, version = _length(self.file), _known_version(self.version)
        headers = {"Range": f"bytes={done}-", "If-Range": version} if done and version else {}
        try:
            async with http.get(self.url, headers=headers) as response:
                self._check(response)
                _remember_version(response, self.version)
                await self._take(response)
        except (aiohttp.TooManyRedirects, aiohttp.InvalidURL, UnicodeError) as exc:
            raise DownloadError(f"{self.url}: redirected too often, or to nowhere") from exc

    def _check(self, response: aiohttp.ClientResponse) -> None:
        if response.status == 206 and _first_byte(response) == _length(self.file):
            return
        if response.status in (200, 206, 416):  # the file has changed, or the server has no ranges
            self.file.truncate(0)
            self.version.unlink(missing_ok=True)
            if response.status != 200:
                raise _Cut("the server returned another range than requested")
        elif response.status in (408, 429) or response.status >= 500:
            raise _Cut(f"the server answered {response.status} {response.reason}")
        else:
            raise DownloadError(f"{self.url}: the server answered {response.status} {response.reason}")

    async def _take(self, response: aiohttp.ClientResponse) -> None:
        async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
            if _length(self.file) + len(chunk) > self.size:
                self.file.truncate(0)
                raise _too_large(self.url, self.size)
            await asyncio.to_thread(self.file.write, chunk)
            self.on_progress(_length(self.file))
        if _length(self.file) < self.size:
            raise _Cut(f"it ended after {_length(self.file)} of {self.size} bytes")


def _first_byte(response: aiohttp.ClientResponse) -> int | None:
    parts = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    return None if parts is None else int(parts["first"])


def _remember_version(response: aiohttp.ClientResponse, version: Path) -> None:
    """Stores the entity tag if it is a strong validator, as If-Range requires (RFC 9110, 13.1.5)."""
    tag = response.headers.get("ETag", "")
    if tag.startswith('"') and len(tag) <= _MAX_VERSION:
        version.write_text(tag, "ascii", errors="replace")


def _known_version(version: Path) -> str | None:
    with contextlib.suppress(OSError):
        tag = version.read_bytes()[:_MAX_VERSION].decode("ascii", errors="replace")
        if re.fullmatch(r'"[!#-~]*"', tag):
            return tag
    return None


def _length(file: BufferedRandom) -> int:
    return file.seek(0, os.SEEK_END)


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__


def _too_large(source: str, size: int) -> DownloadError:
    return DownloadError(f"{source}: larger than the {size} bytes that it should have")
