"""Reasons why frames that arrived, at least in part, were not delivered."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import TypeAlias


class DropReason(StrEnum):
    """Reasons. The values are label values of ``mediaserver_frames_dropped_total``."""

    INCOMPLETE = "incomplete"
    """A packet is missing, or the frame depends on a missing frame."""
    UNDECODABLE = "undecodable"
    CORRUPT = "corrupt"
    DECODER_BEHIND = "decoder_behind"
    SUPERSEDED = "superseded"
    """A newer frame was decoded before this frame could be delivered."""


OnDrop: TypeAlias = Callable[[DropReason, int], None]
"""Called with the reason and the number of dropped frames."""
