"""``mediaserver models list | catalogue | pull | check | add | export``."""

from __future__ import annotations

import argparse
import asyncio
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.table import Table

from mediaserver.errors import SettingsError
from mediaserver.models.sources import SOURCES
from mediaserver.paths import model_cache, sample_clip
from mediaserver.settings.model import Settings, load

if TYPE_CHECKING:
    import cv2

    from inference.types import Image

_TASKS = ("detect", "pose")


def missing_package(error: ModuleNotFoundError) -> SettingsError:
    """In words, for work that only people with an optional package can do."""
    return SettingsError(f"this needs the package {error.name!r}: pip install 'mediaserver[export]'")


def add_models(parser: argparse.ArgumentParser) -> None:
    """Adds the commands to the parser of ``mediaserver models``."""
    commands = parser.add_subparsers(required=True, metavar="command")
    listing = commands.add_parser("list", help="the models that are there, whose they are, what is used")
    _add_folder(listing)
    listing.set_defaults(run=_run_list)

    commands.add_parser("catalogue", help="the models that can be pulled").set_defaults(run=_run_catalogue)

    pulling = commands.add_parser("pull", help="fetch a model from those who made it")
    pulling.add_argument("name", help="as `mediaserver models catalogue` lists it")
    pulling.add_argument(
        "--accept-licence", action="store_true", help="where it is not a permissive one; else you are asked"
    )
    pulling.set_defaults(run=_run_pull)

    checking = commands.add_parser("check", help="load a model and run it")
    checking.add_argument("file", type=Path, help="a YOLO as .onnx")
    _add_task(checking)
    checking.set_defaults(run=_run_check)

    adding = commands.add_parser("add", help="check a model and copy it into the models folder")
    adding.add_argument("file", type=Path, help="a YOLO as .onnx")
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
    exporting.add_argument(
        "--image", type=Path, metavar="FILE", help="compare both on it; default: a frame of the sample clip"
    )
    exporting.set_defaults(run=_run_export)


def _add_folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--models", type=Path, metavar="DIR", help="folder with your ONNX models [MEDIASERVER_MODELS]"
    )


def _add_task(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--task", choices=_TASKS, default="detect", help="default: %(default)s")


def _settings(parsed: argparse.Namespace) -> Settings:
    return load(command_line={} if parsed.models is None else {"models": str(parsed.models)})


def _say(words: str) -> None:
    Console().print(words, soft_wrap=True, highlight=False)


def _run_list(parsed: argparse.Namespace) -> int:
    from inference.catalogue import BUILT_IN  # noqa: PLC0415 - --help needs no models
    from mediaserver.models.files import files_in_use, origin  # noqa: PLC0415

    settings = _settings(parsed)
    tasks = {path: task for task, path in files_in_use(settings).items()}
    folders = [folder for folder in (settings.models, model_cache(), BUILT_IN) if folder is not None]
    others = [path for folder in folders for path in sorted(folder.glob("*.onnx"))]
    for path in dict.fromkeys([*tasks, *others]):
        task = tasks.get(path)
        _say(f"{path}  {origin(path, task)}, {f'used for {task}' if task else 'not used'}")
    return 0


def _run_catalogue(parsed: argparse.Namespace) -> int:
    table = Table("name", "task", "licence", "to fetch", "here")
    for name, source in SOURCES.items():
        here = "pulled" if (model_cache() / f"{name}.onnx").is_file() else ""
        table.add_row(name, source.task, source.licence, f"{source.size / 1e6:.1f} MB", here)
    Console().print(table)
    _say("Fetch one: mediaserver models pull NAME. docs/models.md compares them.")
    return 0


def _run_pull(parsed: argparse.Namespace) -> int:
    from inference.engines.contract import Task  # noqa: PLC0415
    from mediaserver.models.check import check_model  # noqa: PLC0415
    from mediaserver.models.files import files_in_use  # noqa: PLC0415
    from mediaserver.models.pull import pull  # noqa: PLC0415

    settings, console = load(), Console()
    path = asyncio.run(
        pull(parsed.name, settings.model_mirror, accept_licence=parsed.accept_licence, console=console)
    )
    task = Task(SOURCES[parsed.name].task)
    _say(f"{asyncio.run(check_model(path, task))}\n{path}")
    try:
        used = files_in_use(settings)[task]
    except SettingsError as exc:  # of another model's; this one is there
        _say(str(exc))
        return 0
    if used != path:
        _say(f"{used} comes before it; MEDIASERVER_{task.upper()}_MODEL={parsed.name} takes this one")
    return 0


def _run_check(parsed: argparse.Namespace) -> int:
    _say(_checked(parsed.file, parsed.task))
    return 0


def _run_add(parsed: argparse.Namespace) -> int:
    words = _checked(parsed.file, parsed.task)
    folder = _settings(parsed).models or model_cache()
    folder.mkdir(parents=True, exist_ok=True)
    if folder.resolve() != parsed.file.resolve().parent:
        for path in (parsed.file, parsed.file.with_suffix(".labels.txt")):
            if path.is_file():
                shutil.copy(path, folder)
    _say(f"{words}\nadded to {folder}")
    return 0


def _checked(path: Path, task: str) -> str:
    from inference.engines.contract import Task  # noqa: PLC0415
    from mediaserver.models.check import check_model  # noqa: PLC0415

    return str(asyncio.run(check_model(path, Task(task))))


def _run_export(parsed: argparse.Namespace) -> int:
    from inference.catalogue import CatalogueError  # noqa: PLC0415
    from mediaserver.models.ultralytics_export import to_onnx  # noqa: PLC0415

    try:
        from mediaserver.models.onnx_export import export  # noqa: PLC0415
    except ModuleNotFoundError as exc:
        raise missing_package(exc) from exc
    from inference.engines.contract import Task  # noqa: PLC0415

    picture = _sample_picture() if parsed.image is None else _picture(parsed.image)
    weights = parsed.weights
    if weights.suffix == ".pt":
        weights = to_onnx(weights)
    out = parsed.out or weights.with_suffix(".u8.onnx")
    try:
        parity = asyncio.run(export(weights, Task(parsed.task), parsed.size, out, picture))
    except CatalogueError as exc:
        raise SettingsError(str(exc)) from exc
    compared_on = parsed.image or "the sample clip"
    _say(
        f"{out}: finds the same {parity.objects} objects as {weights.name} in {compared_on} and its mirror "
        f"image, boxes within {parity.box_px:.2g} pixels, scores within {parity.score:.2g}"
    )
    return 0


def _picture(path: Path) -> Image:
    import cv2  # noqa: PLC0415

    picture = cv2.imread(str(path), cv2.IMREAD_COLOR) if path.is_file() else None
    if picture is None:
        raise SettingsError(f"{path} is no picture that can be read")
    return _as_frame(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))


def _sample_picture() -> Image:
    import av  # noqa: PLC0415

    with av.open(str(sample_clip())) as clip:
        return _as_frame(next(clip.decode(video=0)).to_ndarray(format="rgb24"))


def _as_frame(picture: cv2.typing.MatLike) -> Image:
    """A picture stretched to 320×240, RGB: both models see the same, whatever its shape."""
    import cv2  # noqa: PLC0415

    from inference.types import FRAME_HEIGHT, FRAME_WIDTH  # noqa: PLC0415

    return np.asarray(
        cv2.resize(picture, (FRAME_WIDTH, FRAME_HEIGHT), interpolation=cv2.INTER_AREA), np.uint8
    )


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (
        width.isdecimal() and height.isdecimal() and 32 <= int(width) <= 4096 and 32 <= int(height) <= 4096
    ):
        raise argparse.ArgumentTypeError(f"{text!r}: give WIDTHxHEIGHT, each from 32 to 4096")
    return int(width), int(height)
