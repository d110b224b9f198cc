"""How far off the page draws boxes: results go through ``web/engine/scene.js``, as they would arrive."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from inference.types import Box
from rendered_world.canvas import HEIGHT, WIDTH
from tests.support.tracking_clips import Seen
from tests.support.tracking_scores import Sighting, match
from tests.web.node import run_node

DELAY_S = 0.1
"""From the capture of a frame to the arrival of its result."""
_STARTS_S = 1.0


@dataclass(frozen=True, slots=True)
class Tracked:
    """What was tracked in a frame of a clip, with velocities as in `inference.types.Detection`."""

    seen: Seen
    found: tuple[Sighting, ...]
    velocities: tuple[tuple[float, float] | None, ...]


def drawn_error(frames: Sequence[Seen], results: Sequence[Tracked]) -> tuple[float, float]:
    """Mean distance of the centre of what is drawn from where the thing is, in pixels of a picture 640 wide;
    and what it would be with the boxes of the newest result. ``frames`` are those that are shown."""
    shown = [seen for seen in frames if seen.time_s >= _STARTS_S]
    clip = {
        "results": [
            {
                "time": result.seen.time_s * 1000,
                "arrival": (result.seen.time_s + DELAY_S) * 1000,
                "result": _message(result),
            }
            for result in results
        ],
        "shown": [seen.time_s * 1000 for seen in shown],
    }
    done = run_node("../tests/bench/drawn_scene.mjs", stdin=json.dumps([clip]).encode())
    if done.returncode:
        raise RuntimeError(done.stderr.decode())
    drawn, held = [], []
    newest = -1
    for seen, boxes in zip(shown, json.loads(done.stdout)[0], strict=True):
        while newest + 1 < len(results) and results[newest + 1].seen.time_s + DELAY_S <= seen.time_s:
            newest += 1
        there = {item["id"]: item["values"] for item in boxes}
        tracks = _tracks_of(results[newest]) if newest >= 0 else {}
        for identity, box in zip(seen.identities, seen.boxes, strict=True):
            if identity in tracks and tracks[identity][0] in there:
                track, last = tracks[identity]
                drawn.append(_apart(there[track], box))
                held.append(_apart(last, box))
    return float(np.mean(drawn)), float(np.mean(held))


def _message(result: Tracked) -> dict[str, object]:
    detections = [
        {"id": track, "label": "", "score": 1, "box": box, "velocity": velocity}
        for (track, box), velocity in zip(result.found, result.velocities, strict=True)
    ]
    return {"detections": detections, "poses": None, "segments": None, "texts": None, "motion": None}


def _tracks_of(result: Tracked) -> dict[int, Sighting]:
    """The track that each thing has in that frame, by the thing's identity."""
    boxes = dict(result.found)
    truth = list(zip(result.seen.identities, result.seen.boxes, strict=True))
    return {thing: (track, boxes[track]) for thing, track in match(truth, result.found, {}).items()}


def _apart(box: Sequence[float], other: Box) -> float:
    """Of the centres, pixels."""
    (x, y), (other_x, other_y) = ((box[0] + box[2] / 2, box[1] + box[3] / 2) for box in (box, other))
    return float(np.hypot((x - other_x) * WIDTH, (y - other_y) * HEIGHT))
