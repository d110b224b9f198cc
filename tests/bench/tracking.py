"""How well tracks keep identities, and how far off the page draws what moves.

``python -m tests.bench.tracking [--seeds 1 2] [--seconds 12] [--boxes perturbed] [--others]``

Renders clips whose things have identities, of each family and seed, gives our tracker what the built-in
detector finds in them (or the truth with a detector's errors) at 30, 15, 10 and 5 results a second, and
prints Markdown tables. With ``--others`` ByteTrack and OC-SORT get the same; they live in a virtual
environment of their own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from inference.catalogue import BUILT_IN
from inference.engines.contract import Task
from inference.engines.embedded import EmbeddedEngine
from inference.flow import FlowEstimator
from inference.heads.detections import decode
from inference.tracker import Tracker
from inference.types import FRAME_HEIGHT, FRAME_WIDTH, Floats, Image
from rendered_world.crowd import FPS, Family
from tests.bench.environment import interpreter
from tests.support.drawn_error import Tracked, drawn_error
from tests.support.tracking_clips import RATES, Seen, clip, detected
from tests.support.tracking_scores import Scores, score

THRESHOLD = 0.35
OTHERS = ("ByteTrack", "OC-SORT")
OTHERS_PROGRAM = Path(__file__).with_name("other_trackers.py")
CANVAS = (FRAME_WIDTH, FRAME_HEIGHT, FRAME_WIDTH, FRAME_HEIGHT)


@dataclass(frozen=True, slots=True)
class Recorded:
    """A clip, and what was found in each of its frames."""

    pictures: list[Image]
    frames: list[Seen]
    boxes: list[tuple[Floats, list[str]]]
    scores: list[Floats]

    def at(self, rate: int) -> range:
        """Numbers of the frames that have a result, at ``rate`` a second."""
        return range(0, len(self.frames), FPS // rate)

    def tracked(self, rate: int, *, look: bool, flow: bool = False) -> list[Tracked]:
        """By our tracker, at ``rate`` results a second; with ``look`` it sees the pictures."""
        tracker, estimator = Tracker(), FlowEstimator()
        results = []
        for number in self.at(rate):
            seen, picture, (boxes, labels) = self.frames[number], self.pictures[number], self.boxes[number]
            field = estimator.update(picture, seen.time_s) if flow else None
            (ids,) = tracker.update(
                seen.time_s, (boxes, labels), picture=picture if look else None, flow=field
            )
            found = tuple((track or 0, tuple(box)) for track, box in zip(ids, boxes.tolist(), strict=True))
            results.append(Tracked(seen, found, tuple(tracker.velocity(track or 0) for track in ids)))
        return results

    def tracked_by(self, other: str, rate: int) -> list[Tracked]:
        """As `tracked`, by another tracker; boxes to which it gives no id count as not found."""
        frames = [np.column_stack((self.boxes[number][0], self.scores[number])) for number in self.at(rate)]
        job = {"tracker": other, "rate": rate, "frames": [frame.tolist() for frame in frames]}
        done = subprocess.run(
            (interpreter("trackers"), OTHERS_PROGRAM),
            input=json.dumps(job),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        return [
            Tracked(
                self.frames[number],
                tuple(
                    (track, tuple(box))
                    for track, box in zip(ids, frame[:, :4].tolist(), strict=True)
                    if track is not None
                ),
                (),
            )
            for number, ids, frame in zip(self.at(rate), json.loads(done.stdout), frames, strict=True)
        ]


async def record(family: Family, seed: int, seconds: float, engine: EmbeddedEngine | None) -> Recorded:
    """Renders a clip; without ``engine`` what is found is the truth with errors."""
    pictures, frames = zip(*clip(family, seed, seconds), strict=True)
    if engine is None:
        boxes = detected(frames, seed)
        return Recorded(
            list(pictures), list(frames), boxes, [np.full(len(found), 0.9, np.float32) for found, _ in boxes]
        )
    info = engine.models[Task.DETECT]
    boxes, confidences = [], []
    for picture in pictures:
        (head,) = await engine.infer(Task.DETECT, picture[np.newaxis])
        found = decode((head[0],), info, THRESHOLD)
        boxes.append(
            (np.asarray(found.boxes / CANVAS, np.float32), [info.labels[index] for index in found.classes])
        )
        confidences.append(found.scores)
    return Recorded(list(pictures), list(frames), boxes, confidences)


def scored(results: Sequence[Tracked]) -> Scores:
    return score(
        [(list(zip(each.seen.identities, each.seen.boxes, strict=True)), each.found) for each in results]
    )


def cell(scores: Scores) -> str:
    return f"{100 * scores.idf1:.1f} / {scores.switches} / {scores.fragments}"


def print_identities(clips: dict[Family, list[Recorded]], others: Sequence[str]) -> None:
    print("| IDF1 % / switches / fragments | " + " | ".join(f"{rate}/s" for rate in RATES) + " |")
    print("|---|" + "---|" * len(RATES))
    trackers: dict[str, Callable[[Recorded, int], list[Tracked]]] = {
        "boxes alone": partial(Recorded.tracked, look=False),
        "and colours": partial(Recorded.tracked, look=True),
        **{other: lambda each, rate, other=other: each.tracked_by(other, rate) for other in others},
    }
    for name, tracked in trackers.items():
        totals = dict.fromkeys(RATES, Scores())
        for family, recorded in clips.items():
            cells = []
            for rate in RATES:
                scores = sum((scored(tracked(each, rate)) for each in recorded), Scores())
                totals[rate] += scores
                cells.append(cell(scores))
            print(f"| {family}, {name} | " + " | ".join(cells) + " |", flush=True)
        print(f"| **all, {name}** | " + " | ".join(map(cell, totals.values())) + " |", flush=True)


def print_drawn(clips: dict[Family, list[Recorded]]) -> None:
    print(
        "\n| drawn error, pixels of 640 | rate | with flow | without | last box held |\n|---|---|---|---|---|"
    )
    for family, recorded in clips.items():
        for rate in RATES[1:]:
            errors = np.array(
                [
                    [
                        drawn_error(each.frames, each.tracked(rate, look=True, flow=flow))
                        for flow in (True, False)
                    ]
                    for each in recorded
                ]
            ).mean(axis=0)
            (with_flow, _), (without, held) = errors.tolist()
            print(f"| {family} | {rate}/s | {with_flow:.1f} | {without:.1f} | {held:.1f} |", flush=True)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2], help="default: 1 2")
    parser.add_argument("--seconds", type=float, default=12.0, help="of each clip (default: %(default)s)")
    parser.add_argument("--boxes", choices=("detector", "perturbed"), default="detector")
    parser.add_argument("--others", action="store_true", help="ByteTrack and OC-SORT too")
    arguments = parser.parse_args()
    engine = None
    if arguments.boxes == "detector":
        engine = await EmbeddedEngine.open({Task.DETECT: BUILT_IN / "detect.onnx"})
    clips: dict[Family, list[Recorded]] = {}
    for family in Family:
        for seed in arguments.seeds:
            print(f"rendering {family} {seed}", file=sys.stderr)
            clips.setdefault(family, []).append(await record(family, seed, arguments.seconds, engine))
    if engine is not None:
        await engine.close()
    print_identities(clips, OTHERS if arguments.others else ())
    print_drawn(clips)


if __name__ == "__main__":
    asyncio.run(main())
