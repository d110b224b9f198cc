"""OCR on one picture, without other sessions."""

from __future__ import annotations

from concurrent.futures import Executor

from inference.engines.contract import Engine
from inference.ocr.reader import Legible, find_text, recognise
from inference.ocr.turns import OcrTurns, shared_turns
from inference.types import Image, Text


async def read_text(engine: Engine, picture: Image, executor: Executor) -> tuple[Text, ...]:
    lines = await find_text(engine, picture, executor)
    return await recognise(engine, lines, executor, OcrTurns(shared_turns()), Legible())
