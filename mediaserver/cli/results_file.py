"""Results as lines of JSON, each with the clip and the moment that it belongs to."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

import msgspec

from mediaserver.cli.output import in_utf8
from mediaserver.client.client import InferenceClient
from mediaserver.client.live_address import LiveAddress
from mediaserver.errors import writing
from signaling.messages import Event, OcrEvent, Result

_MOMENT_DIGITS = 4
"""Of seconds: results give the time of a frame to a tenth of a millisecond."""


_MAX_WAITING = 300
"""Lines whose moment is not known yet: some seconds of results, until the first RTCP sender report."""


class ClipLines:
    """Writes the results and readings of texts of one clip, in the order of their arrival. Use ``with``.

    A line is a message of the protocol with two more fields. ``clip`` is the name of the frame's file, and
    ``time_s`` the frame's time in the clip. Raises `mediaserver.errors.OutputError`.
    """

    def __init__(self, put: Callable[[str], None], client: InferenceClient, clip: Path | LiveAddress) -> None:
        self._put = put
        self._client = client
        self._clip = clip
        self._waiting: deque[Result | OcrEvent] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._waiting:
            self._write(self._waiting.popleft())

    def take(self, message: Result | Event) -> None:
        """Writes one line for a result or a reading of texts; other messages have no line."""
        if isinstance(message, Result | OcrEvent):
            self._client.timeline.locate(message.frame)  # it may tell where those before it belong
            self._waiting.append(message)
        while self._waiting and (len(self._waiting) > _MAX_WAITING or self._is_placed(self._waiting[0])):
            self._write(self._waiting.popleft())

    def _is_placed(self, message: Result | OcrEvent) -> bool:
        return self._client.timeline.locate(message.frame) is not None

    def _write(self, message: Result | OcrEvent) -> None:
        moment = self._client.timeline.settle(message.frame)
        file = self._client.file_at(moment) or self._clip
        line = {
            **msgspec.to_builtins(message),
            "clip": in_utf8(file.name),
            "time_s": round(moment, _MOMENT_DIGITS),
        }
        self._put(msgspec.json.encode(line).decode() + "\n")


@contextlib.contextmanager
def results_file(path: Path | None) -> Iterator[Callable[[str], None]]:
    """A function that writes text to ``path``, or drops it if there is none. The first text empties the file.

    Raises `mediaserver.errors.OutputError`, also for what is still buffered at the end.
    """
    if path is None:
        yield lambda text: None
        return
    file: TextIO | None = None

    def put(text: str) -> None:
        nonlocal file
        with writing(path):
            file = file or path.open("w", encoding="utf-8")
            file.write(text)

    try:
        yield put
    finally:
        with writing(path):
            if file is not None:
                file.close()
