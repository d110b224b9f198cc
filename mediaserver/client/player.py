"""Whatever can be sent, by its name: a clip, or a live source."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, TypeAlias

import av

from mediaserver.client.clip import ClipPlayer
from mediaserver.client.live_address import LiveAddress, live_address
from mediaserver.client.live_player import LivePlayer

Source: TypeAlias = str | Path | LiveAddress


class Player(Protocol):
    """Gives frames in real time. Use ``async with``."""

    max_framerate: float | None
    """Frames a second, at most; may be changed at any time."""
    scale_resolution_down_by: float
    """What each side is divided by; may be changed at any time."""
    duration_s: float | None
    """What will be played, where that is known."""
    framerate: float
    position_s: float
    skipped: int
    slowed_s: float
    """How much longer than the clip playing it takes, because decoding is slower than real time."""

    @property
    def share(self) -> float | None:
        """How much was played, 0..1; ``None`` where nobody knows how much there is."""
        ...

    @property
    def damaged(self) -> int:
        """Packets so far that could not be decoded."""
        ...

    def file_at(self, time_s: float) -> Path | None:
        """Where the frame at that time is from; ``None`` where it is from no file."""
        ...

    async def next_frame(self) -> av.VideoFrame | None:
        """Waits until the next frame is due and returns it; ``None`` at the end. Raises
        `mediaserver.client.clip.ClipError`."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def player_for(source: Source, duration_s: float | None, on_notice: Callable[[str], None]) -> Player:
    """Plays a file, or what a URL or a device of this machine gives. Raises
    `mediaserver.client.clip.ClipError` for a URL that is none."""
    if not isinstance(source, LiveAddress):
        live = live_address(source)
        if live is None:
            return ClipPlayer(source, duration_s)
        source = live
    return LivePlayer(source, duration_s, on_notice)
