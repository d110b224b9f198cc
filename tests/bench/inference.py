"""Measures what one frame costs in `inference`: ``python -m tests.bench.inference [MODELS]``.

Prints Markdown tables. MODELS is a folder as `inference.catalogue` takes it; without it the networks of
`tests.support.tiny_models` are measured, which says nothing about models but all about the rest. Times are
processor time, which hardly depends on what else the machine does.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import uvloop

from inference.catalogue import find_models
from inference.engines.contract import Task
from inference.engines.embedded import EmbeddedEngine
from inference.heads import detections, poses
from inference.letterbox import Letterbox
from inference.ocr.turns import shared_turns
from inference.pipeline import Frame, Pipeline, PipelineOptions, TextsFound
from inference.preprocess import UNIT, InputSpec, place, to_tensor
from inference.types import FRAME_HEIGHT, FRAME_WIDTH, FrameIdentity, Image
from tests.support.clips import picture
from tests.support.reading import read_text
from tests.support.tiny_models import write_tiny_models

YOLO = (Task.DETECT, Task.POSE)
BATCHES = (1, 4, 8)
ROUNDS = 10


def table(title: str, *rows: tuple[object, ...]) -> None:
    head, *body = ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    print(f"\n### {title}\n", head, "|---" * len(rows[0]) + "|", *body, sep="\n")


def median_ms(work: Callable[[], object], rounds: int = 200) -> str:
    """Processor time of this thread for one call."""
    spent = []
    for _ in range(rounds):
        began = time.thread_time()
        work()
        spent.append((time.thread_time() - began) * 1000.0)
    return f"{np.median(spent):.3f}"


async def models(files: Mapping[Task, Path]) -> None:
    """Processor time a frame of each YOLO model, pre-processing included; batches made by the caller."""
    rows: list[tuple[object, ...]] = [("model", *(f"batch {size}, ms a frame" for size in BATCHES))]
    frame = picture(0.0, (FRAME_WIDTH, FRAME_HEIGHT))
    for task in YOLO:
        engine = await EmbeddedEngine.open({task: files[task]}, threads=1)
        row: list[object] = [engine.models[task].name]
        for size in BATCHES:
            batch = np.stack([frame] * size)
            await engine.infer(task, batch)
            began = time.process_time()
            for _ in range(ROUNDS):
                await engine.infer(task, batch)
            row.append(f"{(time.process_time() - began) * 1000.0 / ROUNDS / size:.1f}")
        rows.append(tuple(row))
        await engine.close()
    table("Models, one thread", *rows)


async def around_the_models(files: Mapping[Task, Path]) -> None:
    """Pre-processing of one frame, and decoding of one head at the threshold that is the default."""
    frame = picture(0.0, (FRAME_WIDTH, FRAME_HEIGHT))[np.newaxis]
    spec = InputSpec(place(FRAME_WIDTH, 256, centred=True), False, *UNIT)
    engine = await EmbeddedEngine.open({task: files[task] for task in YOLO})
    heads = {task: tuple(output[0] for output in await engine.infer(task, frame)) for task in YOLO}
    await engine.close()
    detect, pose = (engine.models[task] for task in YOLO)

    def decode_all() -> object:
        return detections.decode(heads[Task.DETECT], detect, 0.0)

    table(
        "Around the models, one frame",
        ("step", "ms"),
        ("to_tensor", median_ms(lambda: to_tensor(frame, spec))),
        ("detections.decode", median_ms(lambda: detections.decode(heads[Task.DETECT], detect, 0.35))),
        ("detections.decode, everything above the threshold", median_ms(decode_all)),
        ("poses.decode", median_ms(lambda: poses.decode(heads[Task.POSE], pose, 0.35))),
    )


async def event_loop(files: Mapping[Task, Path]) -> None:
    """What the event loop's own thread spends; the models run on others."""
    engine = await EmbeddedEngine.open({task: files[task] for task in YOLO})
    image = picture(0.0)
    canvas = picture(0.0, (FRAME_WIDTH, FRAME_HEIGHT))
    rows: list[tuple[object, ...]] = [("work", "ms on the event loop")]
    with ThreadPoolExecutor(2) as executor:
        pipeline = Pipeline(engine, PipelineOptions(flow=True), executor, shared_turns())

        async def request() -> None:
            await engine.infer(Task.DETECT, canvas[np.newaxis])

        async def frame() -> None:
            await pipeline.infer(_frame(image, canvas), _ignore)

        for name, work in (("one request", request), ("one frame: detect, pose, flow, tracking", frame)):
            await work()
            began = time.thread_time()
            for _ in range(3 * ROUNDS):
                await work()
            rows.append((name, f"{(time.thread_time() - began) * 1000.0 / (3 * ROUNDS):.3f}"))
    await engine.close()
    table("The event loop", *rows)


async def memory(files: Mapping[Task, Path]) -> None:
    """Resident memory over rounds of random batches of both YOLO models."""
    process, random = psutil.Process(), np.random.default_rng(1)
    frame = picture(0.0, (FRAME_WIDTH, FRAME_HEIGHT))[np.newaxis]
    engine = await EmbeddedEngine.open({task: files[task] for task in YOLO}, threads=2)
    rows: list[tuple[object, ...]] = [
        ("frames inferred", "resident MiB"),
        (0, process.memory_info().rss >> 20),
    ]
    inferred = 0
    for _ in range(3):
        for _ in range(ROUNDS):
            size = int(random.integers(1, 9))
            await asyncio.gather(*(engine.infer(task, frame) for task in YOLO for _ in range(size)))
            inferred += 2 * size
        rows.append((inferred, process.memory_info().rss >> 20))
    await engine.close()
    table("Memory", *rows)


async def ocr(files: Mapping[Task, Path]) -> None:
    """Both OCR models and the work around them on a plain 640×480 picture, which has no text."""
    engine = await EmbeddedEngine.open({task: files[task] for task in (Task.OCR_DET, Task.OCR_REC)})
    with ThreadPoolExecutor(1) as executor:
        await read_text(engine, picture(0.0), executor)
        began = time.process_time()
        for _ in range(3):
            await read_text(engine, picture(0.0), executor)
        spent_ms = (time.process_time() - began) * 1000.0 / 3
    await engine.close()
    table("OCR", ("work", "ms"), ("text detection in one 640×480 frame", f"{spent_ms:.0f}"))


def _frame(image: Image, canvas: Image) -> Frame:
    height, width = image.shape[:2]
    identity = FrameIdentity(None, time.monotonic() * 1000.0, None, width, height)
    return Frame(identity, canvas, Letterbox.fit(width, height), lambda: image)


async def _ignore(found: TextsFound) -> None:
    pass


async def main(directory: Path) -> None:
    files = find_models(directory)
    for measure in (models, around_the_models, event_loop, memory, ocr):
        await measure(files)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        uvloop.run(main(Path(sys.argv[1])))
    else:
        with tempfile.TemporaryDirectory() as folder:
            uvloop.run(main(write_tiny_models(Path(folder))))
