"""``mediaserver models list | check | add | export``."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console

from mediaserver.settings import SettingsError, load

if TYPE_CHECKING:
    from inference.types import Image

_TASKS = ("detect", "pose")


def missing_package(error: ModuleNotFoundError) -> SettingsError:
    """In words, for work that only people with an optional package can do."""
    return SettingsError(f"this needs the package {error.name!r}: pip install 'mediaserver[export]'")


def add_models(parser: argparse.ArgumentParser) -> None:
    """Adds the commands to the parser of ``mediaserver models``."""
    commands = parser.add_subparsers(required=True, metavar="command")
    listing = commands.add_parser("list", help="what the models folder holds, and what is used")
    _add_folder(listing)
    listing.set_defaults(run=_run_list)

    checking = commands.add_parser("check", help="load a model and run it")
    checking.add_argument("file", type=Path)
    _add_task(checking)
    checking.set_defaults(run=_run_check)

    adding = commands.add_parser("add", help="check a model and copy it into the models folder")
    adding.add_argument("file", type=Path)
    _add_task(adding)
    _add_folder(adding)
    adding.set_defaults(run=_run_add)

    exporting = commands.add_parser("export", help="make a model that takes the uint8 frame as it is")
    exporting.add_argument("weights", type=Path, help="YOLO as .onnx; as .pt with the package ultralytics")
    _add_task(exporting)
    exporting.add_argument(
        "--size", type=_size, metavar="WxH", help="what it looks at, e.g. 320x240, in multiples of 32"
    )
    exporting.add_argument("--out", type=Path, metavar="FILE", help="default: NAME.u8.onnx beside it")
    exporting.add_argument("--image", type=Path, required=True, metavar="FILE", help="compare both on it")
    exporting.set_defaults(run=_run_export)


def _add_folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--models", type=Path, metavar="DIR", help="folder with ONNX models [MEDIASERVER_MODELS]"
    )


def _add_task(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--task", choices=_TASKS, default="detect", help="default: %(default)s")


def _folder(parsed: argparse.Namespace) -> Path:
    given = {} if parsed.models is None else {"models": str(parsed.models)}
    return load(command_line=given).models or Path("models")


def _run_list(parsed: argparse.Namespace) -> int:
    from inference.catalogue import CatalogueError, find_models  # noqa: PLC0415 - --help needs no models

    settings, folder = load(), _folder(parsed)
    try:
        found = find_models(folder, detect=settings.detect_model, pose=settings.pose_model)
    except CatalogueError as exc:
        raise SettingsError(str(exc)) from exc
    used = {path.resolve(): task for task, path in found.items()}
    console = Console()
    for path in sorted({*folder.glob("*.onnx"), *found.values()}):
        task = used.get(path.resolve())
        console.print(
            f"{path}  {f'used for {task}' if task else 'not used'}", soft_wrap=True, highlight=False
        )
    return 0


def _run_check(parsed: argparse.Namespace) -> int:
    Console().print(asyncio.run(_check(parsed.file, parsed.task)), soft_wrap=True, highlight=False)
    return 0


def _run_add(parsed: argparse.Namespace) -> int:
    words = asyncio.run(_check(parsed.file, parsed.task))
    folder = _folder(parsed)
    folder.mkdir(parents=True, exist_ok=True)
    if folder.resolve() != parsed.file.resolve().parent:
        for path in (parsed.file, parsed.file.with_suffix(".labels.txt")):
            if path.is_file():
                shutil.copy(path, folder)
    Console().print(f"{words}\nadded to {folder}", soft_wrap=True, highlight=False)
    return 0


async def _check(path: Path, task_name: str) -> str:
    """What a model is and how fast, in words. Raises `SettingsError`."""
    from inference.catalogue import CatalogueError  # noqa: PLC0415
    from inference.embedded import EmbeddedEngine  # noqa: PLC0415
    from inference.engine import Task  # noqa: PLC0415
    from inference.types import FRAME_HEIGHT, FRAME_WIDTH  # noqa: PLC0415

    task = Task(task_name)
    try:
        engine = await EmbeddedEngine.open({task: path})
    except CatalogueError as exc:
        raise SettingsError(str(exc)) from exc
    try:
        info = engine.models[task]
        frame = np.full((1, FRAME_HEIGHT, FRAME_WIDTH, 3), 114, np.uint8)
        spent = []
        for _ in range(5):
            began = time.perf_counter()
            await engine.infer(task, frame)
            spent.append((time.perf_counter() - began) * 1000.0)
    finally:
        await engine.close()
    place = info.placement
    assert place is not None, "detectors and pose models have a place for the frame"
    classes = f", {len(info.labels)} classes" if info.labels else ""
    return (
        f"{info.name}: {task}, {info.layout} head{classes}, looks at {place.width}×{place.height}, "
        f"{np.median(spent):.1f} ms a frame here"
    )


def _run_export(parsed: argparse.Namespace) -> int:
    from inference.catalogue import CatalogueError  # noqa: PLC0415

    try:
        from mediaserver.onnx_export import export  # noqa: PLC0415
    except ModuleNotFoundError as exc:
        raise missing_package(exc) from exc
    from inference.engine import Task  # noqa: PLC0415

    picture = _picture(parsed.image)
    weights = parsed.weights
    if weights.suffix == ".pt":
        weights = _from_ultralytics(weights)
    out = parsed.out or weights.with_suffix(".u8.onnx")
    try:
        parity = asyncio.run(export(weights, Task(parsed.task), parsed.size, out, picture))
    except CatalogueError as exc:
        raise SettingsError(str(exc)) from exc
    words = (
        f"{out}: finds the same {parity.objects} objects as {weights.name} in {parsed.image} and its mirror "
        f"image, boxes within {parity.box_px:.2g} pixels, scores within {parity.score:.2g}"
    )
    Console().print(words, soft_wrap=True, highlight=False)
    return 0


def _from_ultralytics(weights: Path) -> Path:
    """ONNX of Ultralytics' own exporter, beside the weights, with any batch and size."""
    try:
        from ultralytics import YOLO  # type: ignore[import-not-found]  # noqa: PLC0415 - large, licensed AGPL-3.0, and only for this
    except ModuleNotFoundError as exc:
        raise SettingsError(
            f"{weights}: .pt weights need the package 'ultralytics' (AGPL-3.0); an .onnx file does not"
        ) from exc
    if not weights.is_file():
        raise SettingsError(f"no weights {weights}")
    return Path(YOLO(weights).export(format="onnx", dynamic=True))


def _picture(path: Path) -> Image:
    """A picture stretched to 320×240, RGB: both models see the same, whatever its shape."""
    import cv2  # noqa: PLC0415

    from inference.types import FRAME_HEIGHT, FRAME_WIDTH  # noqa: PLC0415

    picture = cv2.imread(str(path), cv2.IMREAD_COLOR) if path.is_file() else None
    if picture is None:
        raise SettingsError(f"{path} is no picture that can be read")
    scaled = cv2.resize(picture, (FRAME_WIDTH, FRAME_HEIGHT), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(scaled, cv2.COLOR_BGR2RGB), np.uint8)


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (
        width.isdecimal() and height.isdecimal() and 32 <= int(width) <= 4096 and 32 <= int(height) <= 4096
    ):
        raise argparse.ArgumentTypeError(f"{text!r}: give WIDTHxHEIGHT, each from 32 to 4096")
    return int(width), int(height)
