"""Reads the text in a frame with a PP-OCR detector and recogniser.

::

    frame ─ resize ─▶ OCR_DET ─ text map ─▶ lines ─ cut, stack ─▶ OCR_REC ─ CTC ─▶ texts
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import NamedTuple, cast

import numpy as np

from inference.engines.contract import Engine, HeadLayout, ModelInfo, Task
from inference.ocr.geometry import cut_line, find_lines, resize_for_detector, stack_lines
from inference.ocr.script import Script
from inference.ocr.turns import OcrTurns
from inference.rounding import COORDINATE_DIGITS, SCORE_DIGITS, rounded
from inference.types import Floats, Image, Quad, Text

MAX_BATCH = 8
_MAX_BATCH_WIDTH = MAX_BATCH * 320
"""Pixels of a batch at most. Without `HeadLayout.CTC_BEST` the recogniser's answer takes 9 kB per pixel."""
MIN_SCORE = 0.8
"""Default threshold. Textures that are read as text mostly score less."""
_LEAST_CHARACTERS = 2
"""Letters and digits of a text at least. An aeroplane in the sky was read as an X with a score of 0.94."""
_SURE = 0.95


@dataclass(frozen=True, slots=True)
class Legible:
    """The criteria for a text: two letters or digits at least, a score of ``min_score``, and ``script``."""

    min_score: float = MIN_SCORE
    script: Script = Script.LATIN

    def has(self, text: str, score: float) -> bool:
        """Whether a line with this text and score counts as text."""
        characters = sum(map(str.isalnum, text))
        return score >= self.min_score and characters >= _LEAST_CHARACTERS and self.script.has(text)


class TextLines(NamedTuple):
    """The lines found in a picture, before recognition: quads, and pixels made by `cut_line`.

    The picture itself can be freed.
    """

    quads: list[Floats]
    images: list[Image]


async def find_text(engine: Engine, picture: Image, executor: Executor) -> TextLines:
    """Finds the lines of text in an RGB picture, as many as `find_lines` returns, in reading order.

    Work on pixels runs in ``executor``, models in ``engine``. Raises what `Engine.infer` raises.
    """
    loop = asyncio.get_running_loop()
    small = await loop.run_in_executor(executor, resize_for_detector, picture)
    (maps,) = await engine.infer(Task.OCR_DET, small[np.newaxis])
    return await loop.run_in_executor(executor, _cut_lines, picture, maps[0, 0])


async def recognise(
    engine: Engine, lines: TextLines, executor: Executor, turns: OcrTurns, legible: Legible
) -> tuple[Text, ...]:
    """Recognises the lines, and leaves out those that are not ``legible``.

    Each batch takes a turn. A line with a low score is read again turned by 180°, as it may be upside down.
    Raises what `Engine.infer` raises.
    """
    first = await _read_lines(engine, lines.images, executor, turns)
    doubtful = [
        index
        for index, (text, score) in enumerate(first)
        if text and (score < _SURE or not legible.has(text, score))
    ]
    turned = [lines.images[index][::-1, ::-1] for index in doubtful]
    second = dict(zip(doubtful, await _read_lines(engine, turned, executor, turns), strict=True))
    texts = []
    for index, (quad, upright) in enumerate(zip(lines.quads, first, strict=True)):
        looks = [(upright, quad)]
        if index in second:
            looks.append((second[index], np.roll(quad, 2, axis=0)))
        (text, score), corners = max(looks, key=lambda look: (legible.has(*look[0]), look[0][1]))
        if legible.has(text, score):
            texts.append(Text(text, round(score, SCORE_DIGITS), _points(corners)))
    return tuple(texts)


async def _read_lines(
    engine: Engine, images: Sequence[Image], executor: Executor, turns: OcrTurns
) -> list[tuple[str, float]]:
    """Returns text and score of each line. Each batch takes a turn."""
    loop = asyncio.get_running_loop()
    recogniser = engine.models[Task.OCR_REC]
    read: dict[int, tuple[str, float]] = {}
    for members in _batches([image.shape[1] for image in images]):
        async with turns.turn():
            batch = await loop.run_in_executor(executor, stack_lines, [images[index] for index in members])
            (steps,) = await engine.infer(Task.OCR_REC, batch)
            decoded = await loop.run_in_executor(executor, decode_ctc, steps, recogniser)
            del steps  # frees megabytes before the next turn
        read |= zip(members, decoded, strict=True)
    return [read[index] for index in range(len(images))]


def decode_ctc(steps: Floats, recogniser: ModelInfo) -> list[tuple[str, float]]:
    """Decodes by greedy CTC: the best class of each step, repeats merged, blanks (class 0) left out.

    ``steps`` is float32 [lines, steps, characters] of probabilities, or [lines, steps, 3] for
    `HeadLayout.CTC_BEST`. The score is the mean probability of the steps that gave a character; 0 for an
    empty line.
    """
    if recogniser.layout is HeadLayout.CTC_BEST:
        *high, low, probability = np.moveaxis(steps, 2, 0)
        best = low.astype(np.intp)
        if high:
            best += 256 * high[0].astype(np.intp)
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
    """Yields indices of lines to recognise together, shortest first. Similar lengths need little padding."""
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


def _points(quad: Floats) -> Quad:
    # A line is grown by its thickness, so its quad can extend beyond the picture.
    points = tuple(map(tuple, rounded(quad.clip(0.0, 1.0), COORDINATE_DIGITS).tolist()))
    return cast("Quad", points)
