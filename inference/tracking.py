"""Turns the objects of all stages into results with ids and velocities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from inference.flow import FlowField
from inference.frame import Frame
from inference.heads.found import Found, Thing
from inference.rounding import COORDINATE_DIGITS, SCORE_DIGITS, rounded
from inference.stages import FRAME_NETWORKS, Stage
from inference.tracker import Sighted, Tracker
from inference.types import Floats, Point


@dataclass(frozen=True, slots=True)
class StageFound:
    """The objects of one stage, a label for each, and the least score of a new object."""

    found: Found
    labels: list[str]
    threshold: float


class Tracking:
    """The tracking of one session. Frames come in order."""

    def __init__(self) -> None:
        self._tracker = Tracker()

    def results(
        self, frame: Frame, stages: Mapping[Stage, StageFound], flow: FlowField | None
    ) -> tuple[dict[str, Any], set[str]]:
        """Returns fields of `PipelineResult`, normalised to the sent frame, and the detected labels."""
        # In the order of the stages: objects of a later stage take the ids of an earlier stage.
        ordered = {stage: stages[stage] for stage in FRAME_NETWORKS if stage in stages}
        sighted = [
            Sighted(
                frame.letterbox.boxes_to_frame(item.found.boxes),
                item.labels,
                item.found.keypoints_in(frame.letterbox),
                item.found.scores < item.threshold,
            )
            for item in ordered.values()
        ]
        ids = self._tracker.update(frame.identity.pts_ms / 1000.0, *sighted, picture=frame.picture, flow=flow)
        results: dict[str, Any] = {network.results: None for network in FRAME_NETWORKS.values()}
        detected = set[str]()
        for (stage, item), seen, own_ids in zip(ordered.items(), sighted, ids, strict=True):
            kept = {row: own_id for row, own_id in enumerate(own_ids) if own_id is not None}
            rows = list(kept)
            found, labels = item.found.only(rows), [item.labels[row] for row in rows]
            things = self._things(list(kept.values()), labels, found.scores, seen.boxes[rows])
            results[FRAME_NETWORKS[stage].results] = found.results(things, frame.letterbox)
            if stage is Stage.DETECT:
                detected = set(labels)
        return results, detected

    def _things(self, ids: list[int], labels: list[str], scores: Floats, boxes: Floats) -> list[Thing]:
        """Collects the fields that all stages share. ``boxes`` [n, 4] are normalised to the frame."""
        small_scores = rounded(scores, SCORE_DIGITS).tolist()
        small_boxes = map(tuple, rounded(boxes, COORDINATE_DIGITS).tolist())
        return list(map(Thing, ids, labels, small_scores, small_boxes, map(self._velocity, ids)))

    def _velocity(self, track_id: int) -> Point | None:
        velocity = self._tracker.velocity(track_id)
        if velocity is None:
            return None
        return round(velocity[0], COORDINATE_DIGITS), round(velocity[1], COORDINATE_DIGITS)
