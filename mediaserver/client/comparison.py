"""Compares the results of two runs in the same frames. Pure, except `read_results`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
import numpy as np

from inference.matching import iou
from inference.stages import FRAME_NETWORKS, Stage
from mediaserver.errors import UnreadableFile, reading
from signaling.codec import decode_server
from signaling.findings import WireDetection, WirePose, WireSegment
from signaling.messages import OcrEvent, ProtocolError, Result

Thing = WireDetection | WirePose | WireSegment


_LONGEST_S = 1e9


class Moment(NamedTuple):
    """A frame: the file that it is from, and its milliseconds in the clip."""

    clip: str
    time_ms: int


class _Place(msgspec.Struct):
    """The fields of a line beside the message."""

    clip: str | None = None
    time_s: Annotated[float, msgspec.Meta(ge=-_LONGEST_S, le=_LONGEST_S)] | None = None


@dataclass(slots=True)
class FrameFindings:
    """The findings in one frame, by stage that ran. ``texts`` are ``None`` if OCR did not run."""

    things: dict[Stage, Sequence[Thing]] = field(default_factory=dict)
    texts: list[str] | None = None
    has_result: bool = False


def read_results(path: Path) -> dict[Moment, FrameFindings]:
    """Reads a file of `mediaserver replay --out`. Lines without a moment are skipped.

    Raises `mediaserver.errors.UnreadableFile` for a line that is no message, clips that share a name, and a
    file without results.
    """
    found: dict[Moment, FrameFindings] = {}
    last_seq: dict[Moment, int] = {}
    with reading(path), path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.isspace():
                continue
            try:
                message, place = decode_server(line), msgspec.json.decode(line, type=_Place)
            except (ProtocolError, msgspec.DecodeError, UnicodeDecodeError) as exc:
                raise UnreadableFile(f"{path}: line {number} is no result: {exc}") from exc
            if not isinstance(message, Result | OcrEvent) or place.time_s is None:
                continue
            moment = Moment(place.clip or "", round(place.time_s * 1000))
            # Frames sent in quick succession may be found at one moment; in a new session seq goes back.
            if isinstance(message, Result) and message.seq <= last_seq.get(moment, 0):
                raise UnreadableFile(
                    f"{path}: line {number}: a second result for {place.clip} at "
                    f"{place.time_s:g} s: do two clips have this name?"
                )
            if isinstance(message, Result):
                last_seq[moment] = message.seq
            _take(found.setdefault(moment, FrameFindings()), message)
    if not found:
        raise UnreadableFile(f"{path}: no result in it names its moment in a clip")
    return found


def _take(frame: FrameFindings, message: Result | OcrEvent) -> None:
    if isinstance(message, OcrEvent):
        frame.texts = [item.text for item in message.texts]
        return
    frame.has_result = True
    for stage, network in FRAME_NETWORKS.items():
        things: Sequence[Thing] | None = getattr(message, network.results)
        if things is not None:
            frame.things[stage] = things


@dataclass(slots=True)
class Agreement:
    """Counts of one kind: in the first run, in the second run, and matched in both."""

    first: int = 0
    second: int = 0
    same: int = 0

    @property
    def share(self) -> float:
        """Share that matches, 0..1; 1 if both runs have none."""
        return 2 * self.same / (self.first + self.second) if self.first + self.second else 1.0

    def add(self, first: int, second: int, same: int) -> None:
        """Adds the counts of one frame."""
        self.first += first
        self.second += second
        self.same += same


@dataclass(slots=True)
class Comparison:
    """The agreement of two runs: of ``frames``, of each of the ``stages``, and of ``texts``.

    By stage, ``overlaps`` has the IoU of each pair and ``score_changes`` the difference of its scores.
    ``different`` counts the findings of each frame that have no partner.
    """

    frames: Agreement = field(default_factory=Agreement)
    stages: dict[Stage, Agreement] = field(default_factory=dict)
    texts: Agreement = field(default_factory=Agreement)
    overlaps: dict[Stage, list[float]] = field(default_factory=dict)
    score_changes: dict[Stage, list[float]] = field(default_factory=dict)
    different: Counter[Moment] = field(default_factory=Counter)

    @property
    def share(self) -> float:
        """The least agreement of all kinds, 0..1."""
        return min(kind.share for kind in (self.frames, self.texts, *self.stages.values()))

    def add(self, stage: Stage, first: Sequence[Thing], second: Sequence[Thing], min_iou: float) -> int:
        """Adds the findings of a stage in one frame; returns how many have no partner."""
        pairs = list(_pairs(first, second, min_iou))
        self.stages.setdefault(stage, Agreement()).add(len(first), len(second), len(pairs))
        self.overlaps.setdefault(stage, []).extend(overlap for _, _, overlap in pairs)
        self.score_changes.setdefault(stage, []).extend(
            abs(first[row].score - second[column].score) for row, column, _ in pairs
        )
        return len(first) + len(second) - 2 * len(pairs)


def compare(
    first: Mapping[Moment, FrameFindings], second: Mapping[Moment, FrameFindings], *, min_iou: float
) -> Comparison:
    """Compares two runs of `read_results`. Frames match by their moments, texts by their words.

    In a frame of both runs, objects of one label match if their boxes overlap by ``min_iou``. The best pair
    matches first.
    """
    comparison = Comparison()
    inferred = [{moment for moment, frame in run.items() if frame.has_result} for run in (first, second)]
    both = inferred[0] & inferred[1]
    comparison.frames.add(len(inferred[0]), len(inferred[1]), len(both))
    for moment in sorted(both):
        for stage in FRAME_NETWORKS:
            ours, theirs = first[moment].things.get(stage), second[moment].things.get(stage)
            if ours is not None or theirs is not None:
                comparison.different[moment] += comparison.add(stage, ours or (), theirs or (), min_iou)
    for moment in sorted(first.keys() | second.keys()):
        words = [Counter(run[moment].texts or () if moment in run else ()) for run in (first, second)]
        same = (words[0] & words[1]).total()
        comparison.texts.add(words[0].total(), words[1].total(), same)
        comparison.different[moment] += words[0].total() + words[1].total() - 2 * same
    return comparison


def _pairs(
    first: Sequence[Thing], second: Sequence[Thing], min_iou: float
) -> Iterator[tuple[int, int, float]]:
    """Rows, columns and overlap, each row and column at most once."""
    if not first or not second:
        return
    boxes = [np.array([thing.box for thing in things], np.float32) for things in (first, second)]
    alike = [[_label(one) == _label(other) for other in second] for one in first]
    overlap = np.where(alike, iou(boxes[0], boxes[1]), -1.0)
    while (best := float(overlap.max())) >= min_iou:
        row, column = divmod(int(overlap.argmax()), len(second))
        overlap[row], overlap[:, column] = -1.0, -1.0
        yield row, column, best


def _label(thing: Thing) -> str:
    return "" if isinstance(thing, WirePose) else thing.label
