"""Why frames of which a part arrived were not delivered."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import TypeAlias


class DropReason(StrEnum):
    """The values are label values of ``mediaserver_frames_dropped_total``."""

    INCOMPLETE = "incomplete"
    """A packet never came, or the frame builds on one that is missing."""
    UNDECODABLE = "undecodable"
    CORRUPT = "corrupt"
    DECODER_BEHIND = "decoder_behind"
    SUPERSEDED = "superseded"
    """A newer one was decoded before this one could be delivered."""


OnDrop: TypeAlias = Callable[[DropReason, int], None]
"""Is told how many frames were dropped, when it happens."""
