"""Reads the text in a frame with a PP-OCR detector and recogniser.

frame ─ resize ─▶ OCR_DET ─ text map ─▶ lines ─ cut, stack ─▶ OCR_REC ─ CTC ─▶ texts
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from typing import NamedTuple, cast

import numpy as np

from inference.engines.contract import Engine, HeadLayout, ModelInfo, Task
from inference.ocr.geometry import cut_line, find_lines, resize_for_detector, stack_lines
from inference.ocr.turns import OcrTurns
from inference.rounding import COORDINATE_DIGITS, SCORE_DIGITS, rounded
from inference.types import Floats, Image, Point, Text

MAX_BATCH = 8
_MAX_BATCH_WIDTH = MAX_BATCH * 320
"""Pixels. The recogniser's answer takes 9 kB for each, unless the model itself chooses the best character."""
_MIN_SCORE = 0.5


class TextLines(NamedTuple):
    """What was found in a picture and is not recognised yet: where each line lies, and its pixels as
    `inference.ocr.geometry.cut_line` gives them. The picture itself is needed no more."""

    quads: list[Floats]
    images: list[Image]


async def find_text(engine: Engine, picture: Image, executor: Executor) -> TextLines:
    """The lines of text in an RGB picture, in reading order; `find_lines` says how many.

    Work on pixels runs in ``executor``, models in ``engine``. Raises what `Engine.infer` raises.
    """
    loop = asyncio.get_running_loop()
    small = await loop.run_in_executor(executor, resize_for_detector, picture)
    (maps,) = await engine.infer(Task.OCR_DET, small[np.newaxis])
    return await loop.run_in_executor(executor, _cut_lines, picture, maps[0, 0])


async def recognise(
    engine: Engine, lines: TextLines, executor: Executor, turns: OcrTurns
) -> tuple[Text, ...]:
    """What the lines say, without those that cannot be read; a turn for each batch. As `find_text`."""
    loop = asyncio.get_running_loop()
    recogniser = engine.models[Task.OCR_REC]
    texts: dict[int, Text] = {}
    for members in _batches([image.shape[1] for image in lines.images]):
        async with turns.turn():
            images = [lines.images[index] for index in members]
            batch = await loop.run_in_executor(executor, stack_lines, images)
            (steps,) = await engine.infer(Task.OCR_REC, batch)
            decoded = await loop.run_in_executor(executor, decode_ctc, steps, recogniser)
            del steps  # megabytes, which need not wait for the next turn
        for index, (text, score) in zip(members, decoded, strict=True):
            if score >= _MIN_SCORE:
                texts[index] = Text(text, round(score, SCORE_DIGITS), _points(lines.quads[index]))
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


def _batches(widths: Sequence[int]) -> Iterator[list[int]]:
    """Indices of lines to be recognised together, shortest first: little is padding where neighbours in
    length share a batch."""
    batch: list[int] = []
    for index in sorted(range(len(widths)), key=widths.__getitem__):
        if len(batch) == MAX_BATCH or (len(batch) + 1) * widths[index] > _MAX_BATCH_WIDTH:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def _cut_lines(picture: Image, text_map: Floats) -> TextLines:
    height, width = picture.shape[:2]
    quads = find_lines(text_map, width, height)
    return TextLines(quads, [cut_line(picture, quad) for quad in quads])


def _points(quad: Floats) -> tuple[Point, Point, Point, Point]:
    # A line is grown by its thickness, so its quad can reach out of the picture.
    points = tuple(map(tuple, rounded(quad.clip(0.0, 1.0), COORDINATE_DIGITS).tolist()))
    return cast("tuple[Point, Point, Point, Point]", points)
