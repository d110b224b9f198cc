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

from inference.catalogue import BUILT_IN, CatalogueError, task_of
from inference.engines.contract import Task
from inference.stages import FRAME_NETWORKS, Stage
from inference.types import FRAME_HEIGHT, FRAME_WIDTH, Image
from mediaserver.cli.output import say, show, standard_output
from mediaserver.cli.subcommands import Subcommands
from mediaserver.errors import ModelError, UnreadableFile, reading, writing
from mediaserver.models.check import CheckedModel, check_model
from mediaserver.models.fetch import Places
from mediaserver.models.files import PULL_DEFAULTS, files_in_use, origin
from mediaserver.models.pull import pull
from mediaserver.models.sources import SOURCES
from mediaserver.models.ultralytics_export import to_onnx
from mediaserver.paths import model_cache, sample_clip
from mediaserver.settings.model import Settings, load

DESCRIPTION = (
    "Manages the models that the server runs. Built-in models recognise drawn scenes only. Models for the "
    f"real world: {PULL_DEFAULTS}."
)
EXAMPLES = ("mediaserver models list", PULL_DEFAULTS, "mediaserver models check mine.onnx")
_OVERVIEW = f"""\
mediaserver models: the models that the server runs.

First steps:
  mediaserver models list         show which models are used
  mediaserver models catalogue    show which models can be pulled
  {PULL_DEFAULTS}
                                  fetch models for the real world (17 MB)

All commands: mediaserver models --help"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The commands."""
    commands = Subcommands(parser, overview=_OVERVIEW)

    listing = ("mediaserver models list", "mediaserver models list --models ~/models")
    _add_folder(
        commands.add("list", _list, "list installed models, their origin, and which are used", listing)
    )

    showing = ("mediaserver models catalogue",)
    commands.add("catalogue", _catalogue, "list the models that can be pulled", showing)

    pulling = commands.add("pull", _pull, "fetch models from their authors and check them", (PULL_DEFAULTS,))
    pulling.add_argument("names", nargs="+", metavar="name", help="a name of `mediaserver models catalogue`")
    pulling.add_argument(
        "--accept-licence",
        action="store_true",
        help="accept licences that are not permissive; without this option the command asks",
    )

    checking = commands.add(
        "check",
        _check,
        "load a model, run it, and report its kind and speed",
        ("mediaserver models check mine.onnx", "mediaserver models check mine-pose.onnx --task pose"),
    )
    _add_file(checking)

    adding = commands.add(
        "add",
        _add,
        "check a model and copy it into the models folder",
        ("mediaserver models add mine.onnx --models ~/models",),
    )
    _add_file(adding)
    _add_folder(adding)

    exporting = commands.add(
        "export",
        _export,
        "write a model that takes uint8 frames, and compare it with the original on a picture",
        ("mediaserver models export mine.onnx --image photo.jpg",),
    )
    exporting.add_argument(
        "weights", type=Path, help="a YOLO as .onnx, or as .pt with the package ultralytics"
    )
    _add_task(exporting)
    exporting.add_argument(
        "--size",
        type=_size,
        metavar="WxH",
        help="input size in multiples of 32, such as 320x256; default: the size of the model",
    )
    exporting.add_argument(
        "--out", type=Path, metavar="FILE", help="file to write; default: NAME.u8.onnx beside the weights"
    )
    exporting.add_argument(
        "--image",
        type=Path,
        metavar="FILE",
        help="picture to compare on; default: a frame of the sample clip",
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
        help="detect: objects; pose: people with their joints; segment: objects with their outlines; "
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
    places = Places(settings.model_mirror, settings.model_cdn)
    with standard_output():
        paths = pull(parsed.names, places, accept_licence=parsed.accept_licence, console=Console())
    for path in paths:
        task = SOURCES[path.stem].task
        say(f"{asyncio.run(check_model(path, task))}\n{path}")
        _say_whether_used(settings, path, task)
    return 0


def _say_whether_used(settings: Settings, path: Path, task: Task) -> None:
    try:
        used = files_in_use(settings).get(task)
    except ModelError as exc:  # of another model; this model is usable
        say(str(exc))
        return
    if used is None:
        say("not used: the setting pose_model or pose_method chooses otherwise")
    elif used != path:
        stage = next(stage for stage in FRAME_NETWORKS if task_of(path, stage) is task)
        say(f"{used} comes before it; MEDIASERVER_{stage.upper()}_MODEL={path.stem} takes this one")


def _check(parsed: argparse.Namespace) -> int:
    say(str(_checked(parsed)))
    return 0


def _checked(parsed: argparse.Namespace) -> CheckedModel:
    file: Path = parsed.file
    if not file.is_file():
        raise UnreadableFile(f"{file}: no such file; mediaserver models list has the installed models")
    return asyncio.run(check_model(file, task_of(file, Stage(parsed.task))))


def _add(parsed: argparse.Namespace) -> int:
    checked = _checked(parsed)
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
