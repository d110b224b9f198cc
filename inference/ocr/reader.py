"""Reads the text in a frame with a PP-OCR detector and recogniser.

frame ─ resize ─▶ OCR_DET ─ text map ─▶ lines ─ cut, stack ─▶ OCR_REC ─ CTC ─▶ texts
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor
from typing import cast

import numpy as np

from inference.engines.contract import Engine, HeadLayout, ModelInfo, Task
from inference.ocr.geometry import cut_line, find_lines, resize_for_detector, stack_lines
from inference.rounding import COORDINATE_DIGITS, SCORE_DIGITS, rounded
from inference.types import Floats, Image, Point, Text

MAX_BATCH = 8
_MIN_SCORE = 0.5


async def read_text(engine: Engine, frame: Image, executor: Executor) -> tuple[Text, ...]:
    """Every line of text in a full-size RGB ``frame``, in reading order, 64 at most.

    Work on pixels runs in ``executor``, models in ``engine``. Raises what `Engine.infer` raises.
    """
    loop = asyncio.get_running_loop()
    small = await loop.run_in_executor(executor, resize_for_detector, frame)
    (maps,) = await engine.infer(Task.OCR_DET, small[np.newaxis])
    quads, lines = await loop.run_in_executor(executor, _cut_lines, frame, maps[0, 0])

    recogniser = engine.models[Task.OCR_REC]
    # Neighbours in length share a batch, so that little of it is padding.
    by_length = sorted(range(len(lines)), key=lambda index: lines[index].shape[1])
    texts: dict[int, Text] = {}
    for start in range(0, len(by_length), MAX_BATCH):
        members = by_length[start : start + MAX_BATCH]
        batch = await loop.run_in_executor(executor, stack_lines, [lines[index] for index in members])
        (steps,) = await engine.infer(Task.OCR_REC, batch)
        decoded = await loop.run_in_executor(executor, decode_ctc, steps, recogniser)
        for index, (text, score) in zip(members, decoded, strict=True):
            if score >= _MIN_SCORE:
                texts[index] = Text(text, round(score, SCORE_DIGITS), _points(quads[index]))
    return tuple(texts[index] for index in sorted(texts))


def decode_ctc(steps: Floats, recogniser: ModelInfo) -> list[tuple[str, float]]:
    """Greedy CTC: the best class of each step, repeats merged, blanks (class 0) left out.

    ``steps`` is float32 [lines, steps, characters] of probabilities, or [lines, steps, 2] where the
    recogniser's layout is `HeadLayout.CTC_BEST`. The score is the mean probability of the steps that gave a
    character, 0 for a line without one.
    """
    if recogniser.layout is HeadLayout.CTC_BEST:
        best, probability = steps[:, :, 0].astype(np.intp), steps[:, :, 1]
    else:
        best = steps.argmax(axis=2)
        probability = np.take_along_axis(steps, best[:, :, np.newaxis], axis=2)[:, :, 0]
    new = np.ones(best.shape, np.bool_)
    new[:, 1:] = best[:, 1:] != best[:, :-1]
    kept = new & (best != 0)
    return [
        (
            "".join(recogniser.labels[index] for index in line[keep]),
            float(scores[keep].mean()) if keep.any() else 0.0,
        )
        for line, scores, keep in zip(best, probability, kept, strict=True)
    ]


def _cut_lines(frame: Image, text_map: Floats) -> tuple[list[Floats], list[Image]]:
    height, width = frame.shape[:2]
    quads = find_lines(text_map, width, height)
    return quads, [cut_line(frame, quad) for quad in quads]


def _points(quad: Floats) -> tuple[Point, Point, Point, Point]:
    # A line is grown by its thickness, so its quad can reach out of the picture.
    points = tuple(map(tuple, rounded(quad.clip(0.0, 1.0), COORDINATE_DIGITS).tolist()))
    return cast("tuple[Point, Point, Point, Point]", points)
