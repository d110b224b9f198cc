"""``mediaserver models list | catalogue | pull | check | add | export``."""

from __future__ import annotations

import argparse
import asyncio
import shutil
from pathlib import Path

import av
import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from inference.catalogue import BUILT_IN, CatalogueError
from inference.stages import FRAME_NETWORKS, Stage
from inference.types import FRAME_HEIGHT, FRAME_WIDTH, Image
from mediaserver.cli.output import say, show, standard_output
from mediaserver.cli.subcommands import Subcommands
from mediaserver.errors import ModelError, UnreadableFile, reading, writing
from mediaserver.models.check import check_model
from mediaserver.models.files import files_in_use, origin
from mediaserver.models.pull import pull
from mediaserver.models.sources import SOURCES
from mediaserver.models.ultralytics_export import to_onnx
from mediaserver.paths import model_cache, sample_clip
from mediaserver.settings.model import Settings, load

DESCRIPTION = (
    "The models that the server runs. Those built in know a drawn world only; for the real one: "
    "mediaserver models pull yolox_tiny."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The commands."""
    commands = Subcommands(parser)

    _add_folder(commands.add("list", _list, "show the models that are there, whose they are, what is used"))

    commands.add("catalogue", _catalogue, "show the models that can be pulled")

    pulling = commands.add("pull", _pull, "fetch a model from those who made it, and check it")
    pulling.add_argument("name", help="as `mediaserver models catalogue` lists it")
    pulling.add_argument(
        "--accept-licence",
        action="store_true",
        help="accept a licence that is not a permissive one; without this you are asked",
    )

    checking = commands.add("check", _check, "load a model, run it, and say what it is and how fast")
    _add_file(checking)

    adding = commands.add("add", _add, "check a model and copy it into the models folder")
    _add_file(adding)
    _add_folder(adding)

    exporting = commands.add(
        "export",
        _export,
        "make a model that takes the uint8 frame as it is, and compare the two on a picture",
    )
    exporting.add_argument("weights", type=Path, help="YOLO as .onnx; as .pt with the package ultralytics")
    _add_task(exporting)
    exporting.add_argument(
        "--size",
        type=_size,
        metavar="WxH",
        help="what it looks at, e.g. 320x240, in multiples of 32; default: what the model is made for",
    )
    exporting.add_argument(
        "--out", type=Path, metavar="FILE", help="where it goes; default: NAME.u8.onnx beside the weights"
    )
    exporting.add_argument(
        "--image", type=Path, metavar="FILE", help="compare both on it; default: a frame of the sample clip"
    )


def _add_folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--models", type=Path, metavar="DIR", help="folder with your ONNX models [MEDIASERVER_MODELS]"
    )


def _add_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, help="a YOLO as .onnx")
    _add_task(parser)


def _add_task(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--task",
        choices=list(map(str, FRAME_NETWORKS)),
        default=str(Stage.DETECT),
        help="what it finds: objects, people with their joints, or objects with their outlines; "
        "default: %(default)s",
    )


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    if not (
        width.isdecimal() and height.isdecimal() and 32 <= int(width) <= 4096 and 32 <= int(height) <= 4096
    ):
        raise argparse.ArgumentTypeError(f"{text!r}: give WIDTHxHEIGHT, each from 32 to 4096")
    return int(width), int(height)


def run(parsed: argparse.Namespace) -> int:
    """Runs the command. Raises `mediaserver.errors.UserError`."""
    return int(parsed.command(parsed))


def _settings(parsed: argparse.Namespace) -> Settings:
    return load(command_line={} if parsed.models is None else {"models": str(parsed.models)})


def _list(parsed: argparse.Namespace) -> int:
    settings = _settings(parsed)
    tasks = {path: task for task, path in files_in_use(settings).items()}
    folders = [folder for folder in (settings.models, model_cache(), BUILT_IN) if folder is not None]
    others = [path for folder in folders for path in sorted(folder.glob("*.onnx"))]
    for path in dict.fromkeys([*tasks, *others]):
        task = tasks.get(path)
        say(f"{path}  {origin(path, task)}, {f'used for {task}' if task else 'not used'}")
    return 0


def _catalogue(parsed: argparse.Namespace) -> int:
    table = Table("name", "task", "licence", "to fetch", "here")
    pulled = {path.stem for path in model_cache().glob("*.onnx")}
    for name, source in SOURCES.items():
        here = "pulled" if name in pulled else ""
        table.add_row(name, source.task, source.licence, f"{source.size / 1e6:.1f} MB", here)
    show(table)
    say("Fetch one: mediaserver models pull NAME. docs/models.md compares them.")
    return 0


def _pull(parsed: argparse.Namespace) -> int:
    settings = load()
    with standard_output():
        path = asyncio.run(
            pull(parsed.name, settings.model_mirror, accept_licence=parsed.accept_licence, console=Console())
        )
    task = SOURCES[parsed.name].task
    say(f"{asyncio.run(check_model(path, task))}\n{path}")
    try:
        used = files_in_use(settings)[task]
    except ModelError as exc:  # of another model's; this one is there
        say(str(exc))
        return 0
    if used != path:
        say(f"{used} comes before it; MEDIASERVER_{task.upper()}_MODEL={parsed.name} takes this one")
    return 0


def _check(parsed: argparse.Namespace) -> int:
    say(str(asyncio.run(check_model(parsed.file, FRAME_NETWORKS[Stage(parsed.task)].task))))
    return 0


def _add(parsed: argparse.Namespace) -> int:
    checked = asyncio.run(check_model(parsed.file, FRAME_NETWORKS[Stage(parsed.task)].task))
    folder = _settings(parsed).models or model_cache()
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if folder.resolve() != parsed.file.resolve().parent:
            for path in (parsed.file, parsed.file.with_suffix(".labels.txt")):
                if path.is_file():
                    shutil.copy(path, folder)
    say(f"{checked}\nadded to {folder}")
    return 0


def _export(parsed: argparse.Namespace) -> int:
    from mediaserver.models.onnx_export import export  # noqa: PLC0415 - needs an extra

    picture = _sample_picture() if parsed.image is None else _picture(parsed.image)
    weights = parsed.weights
    if weights.suffix == ".pt":
        weights = to_onnx(weights)
    out = parsed.out or weights.with_suffix(".u8.onnx")
    try:
        parity = asyncio.run(export(weights, FRAME_NETWORKS[Stage(parsed.task)], parsed.size, out, picture))
    except CatalogueError as exc:
        raise ModelError(str(exc)) from exc
    compared_on = parsed.image or "the sample clip"
    say(
        f"{out}: finds the same {parity.objects} objects as {weights.name} in {compared_on} and its mirror "
        f"image, boxes within {parity.box_px:.2g} pixels, scores within {parity.score:.2g}"
    )
    return 0


def _picture(path: Path) -> Image:
    with reading(path):
        picture = cv2.imread(str(path), cv2.IMREAD_COLOR) if path.is_file() else None
    if picture is None:
        raise UnreadableFile(f"{path} is no picture that can be read")
    return _as_frame(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))


def _sample_picture() -> Image:
    with av.open(str(sample_clip())) as clip:
        return _as_frame(next(clip.decode(video=0)).to_ndarray(format="rgb24"))


def _as_frame(picture: cv2.typing.MatLike) -> Image:
    """A picture stretched to 320×240, RGB: both models see the same, whatever its shape."""
    return np.asarray(
        cv2.resize(picture, (FRAME_WIDTH, FRAME_HEIGHT), interpolation=cv2.INTER_AREA), np.uint8
    )
