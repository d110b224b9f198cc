"""Finds model files, and describes the input and the outputs of each."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from inference.coco import COCO_LABELS
from inference.engines.contract import HeadLayout, ModelInfo, Task
from inference.heads.candidates import Shape, UnknownHead
from inference.heads.poses import KEYPOINTS
from inference.model_metadata import KEY, BadDescription, from_text
from inference.preprocess import UNIT, UNSCALED, InputSpec, place
from inference.stages import CROP_SIDES, FRAME_NETWORKS, TOP_DOWN, Stage, frame_network
from inference.types import FRAME_HEIGHT, FRAME_WIDTH

BUILT_IN = Path(__file__).parent / "builtin"
"""Models that come with the project."""

_OCR_PACKAGE = "rapidocr"
_OCR_PATTERN = {Task.OCR_DET: "*_det_*.onnx", Task.OCR_REC: "*_rec_*.onnx"}
_OCR_INPUT = InputSpec(None, bgr=True, mean=(127.5,) * 3, scale=(1 / 127.5,) * 3)
"""Input of PP-OCRv6, detector and recogniser: BGR in −1..1, in any size."""
_OCR_LICENCE = "Apache-2.0"
"""Licence of PaddleOCR's weights, which do not name it in their metadata."""

_MAX_METADATA = 1_000_000
_MAX_LICENCE = 64
_MULTIPLE = 32


class CatalogueError(Exception):
    """A model is missing or cannot be used; the message says what to do."""


@dataclass(frozen=True, slots=True)
class NetworkFacts:
    """Shapes and metadata of a model file."""

    input_shape: Shape
    output_shapes: Sequence[Shape]
    metadata: Mapping[str, str]


def find_models(
    directory: Path | None,
    *,
    cache: Path | None = None,
    named: Mapping[Stage, str | None] | None = None,
) -> dict[Task, Path]:
    """Chooses the model files: always a detector, and models of the other stages where files exist.

    Folders are searched in this order: ``directory``, ``cache``, `BUILT_IN`. For each stage the first folder
    with a model for it is used. The built-in models are trained on drawings only. Unless they are named, they
    are not combined with a detector from another folder. A model for top-down pose is added if no earlier
    folder has a pose model.

    ``named`` gives file names in one of these folders, with or without ``.onnx``, or paths. A named pose
    model is the only pose model, and may be a top-down model.

    Raises `CatalogueError`, also if ``directory`` does not exist.
    """
    if directory is not None and not directory.is_dir():
        raise CatalogueError(
            f"no models: the folder {directory} does not exist. Set MEDIASERVER_MODELS to a folder with YOLO "
            f"models as ONNX, or unset it to use pulled or built-in models"
        )
    folders = [folder for folder in (directory, cache, BUILT_IN) if folder is not None]
    named = named or {}
    detector = _choose(folders, Stage.DETECT, named.get(Stage.DETECT))
    found = {Task.DETECT: detector}
    beside = [folder for folder in folders if folder != BUILT_IN or detector.parent == BUILT_IN]
    for stage, network in FRAME_NETWORKS.items():
        if stage is Stage.DETECT:
            continue
        if (name := named.get(stage)) is not None:
            path = _choose(folders, stage, name)
            found[task_of(path, stage)] = path
        elif any(_candidates(folder, stage) for folder in beside):
            found[network.task] = _choose(beside, stage, None)
    if named.get(Stage.POSE) is None:
        found |= _top_down_model(beside)
    return found | _ocr_models()


def task_of(path: Path, stage: Stage) -> Task:
    """Returns the task of a model file named for ``stage``. A file name marks top-down pose models."""
    if stage is Stage.POSE and _is_of_crops(path):
        return TOP_DOWN.task
    return FRAME_NETWORKS[stage].task


def describe(task: Task, path: Path, facts: NetworkFacts) -> tuple[ModelInfo, InputSpec | None]:
    """Returns how to read a model's outputs, and how to prepare its input.

    The input specification is ``None`` if the model carries its own description: such a model takes the frame
    unchanged. Raises `CatalogueError`.
    """
    if len(facts.input_shape) != 4 or any(isinstance(size, int) and size < 1 for size in facts.input_shape):
        raise CatalogueError(f"{path}: its input {list(facts.input_shape)} takes no pictures")
    batch = facts.input_shape[0]
    if isinstance(batch, int) and batch != 1:
        raise CatalogueError(
            f"{path}: its batch is fixed to {batch}; export it with batch 1 or a dynamic one"
        )
    if KEY in facts.metadata:
        return _described(task, path, facts.metadata[KEY]), None
    licence = _licence(path, facts)
    if task is Task.OCR_DET:
        return ModelInfo(task, path.stem, (), None, None, licence or _OCR_LICENCE), _OCR_INPUT
    if task is Task.OCR_REC:
        info = ModelInfo(task, path.stem, _characters(path, facts), None, None, licence or _OCR_LICENCE)
        return info, _OCR_INPUT
    if task is Task.POSE_CROP:
        info = ModelInfo(task, path.stem, (), None, None, licence, crop_side=_crop_side(path, facts))
        return info, InputSpec(None, False, *UNIT)
    network = frame_network(task)
    assert network is not None, "the others are above"
    made_for = facts.metadata.get("task", task)
    if made_for != task:
        raise CatalogueError(f"{path}: a model for the task {made_for!r} cannot {task}")
    if not facts.output_shapes:
        raise CatalogueError(f"{path}: a model without outputs cannot {task}")
    try:
        layout, classes = network.identify(facts.output_shapes, facts.metadata)
    except UnknownHead as exc:
        raise CatalogueError(f"{path}: {exc}") from exc
    width, height = _network_size(facts.input_shape)
    yolox = layout is HeadLayout.YOLOX
    # YOLOX is trained on unscaled BGR in the top left corner, Ultralytics' models on centred RGB in 0..1.
    mean, scale = UNSCALED if yolox else UNIT
    spec = InputSpec(place(width, height, centred=not yolox), yolox, mean, scale)
    labels = _labels(path, facts, classes) if network.label is None else ()
    synthetic = facts.metadata.get("synthetic") == "true"
    return ModelInfo(task, path.stem, labels, layout, spec.placement, licence, synthetic), spec


def _crop_side(path: Path, facts: NetworkFacts) -> int:
    height, width = facts.input_shape[2:]
    heads = [tuple(shape[1:]) for shape in facts.output_shapes[:1]]
    if (
        not isinstance(height, int)
        or height != width
        or height not in CROP_SIDES
        or heads != [(KEYPOINTS, 3)]
    ):
        raise CatalogueError(
            f"{path}: a model for crops takes [batch, 3, side, side], with a side from {CROP_SIDES[0]} to "
            f"{CROP_SIDES[-1]}, and gives [batch, {KEYPOINTS}, 3]; this one takes {list(facts.input_shape)} "
            f"and gives {[list(shape) for shape in facts.output_shapes]}"
        )
    return height


def _described(task: Task, path: Path, text: str) -> ModelInfo:
    try:
        info = from_text(text)
    except BadDescription as exc:
        raise CatalogueError(f"{path}: {exc}") from exc
    if info.task is not task:
        raise CatalogueError(f"{path}: a model for the task {info.task!r} cannot {task}")
    return info


def _choose(folders: Sequence[Path], stage: Stage, wanted: str | None) -> Path:
    """Raises `CatalogueError` if there is no model, or if several would do and none is preferred."""
    looked_in = ", ".join(map(str, folders))
    if wanted is not None:
        named = [folder / name for folder in folders for name in (wanted, f"{wanted}.onnx")]
        for path in (*named, Path(wanted)):
            if path.is_file():
                return path
        raise CatalogueError(f"no {stage} model {wanted!r}: neither in {looked_in} nor a path to a file")
    for folder in folders:
        if candidates := _candidates(folder, stage):
            return _best(folder, stage, candidates, FRAME_NETWORKS[stage].preferred)
    raise CatalogueError(
        f"no {stage} model in {looked_in}. `mediaserver models pull` fetches one; "
        f"MEDIASERVER_MODELS names a folder with your own"
    )


def _candidates(folder: Path, stage: Stage) -> list[Path]:
    """Lists the files that may be models for the stage; none if the folder does not exist.

    A file that no other stage claims is taken for a detector.
    """
    own = {each: set(folder.glob(network.files)) for each, network in FRAME_NETWORKS.items()}
    if stage is Stage.DETECT:
        own[stage] = own[stage].difference(*(files for each, files in own.items() if each is not stage))
    return sorted(path for path in own[stage] if not _is_of_crops(path))


def _is_of_crops(path: Path) -> bool:
    return path.match(TOP_DOWN.files)


def _top_down_model(folders: Sequence[Path]) -> dict[Task, Path]:
    """Returns the top-down model of the first folder that has a pose model of either kind."""
    for folder in folders:
        if files := sorted(folder.glob(TOP_DOWN.files)):
            return {TOP_DOWN.task: _best(folder, Stage.POSE, files, TOP_DOWN.preferred)}
        if _candidates(folder, Stage.POSE):
            break
    return {}


def _best(folder: Path, stage: Stage, candidates: Sequence[Path], known: Sequence[str]) -> Path:
    by_name = {path.stem: path for path in candidates}
    preferred = next((by_name[name] for name in known if name in by_name), None)
    if preferred is not None:
        return preferred
    if len(candidates) == 1:
        return candidates[0]
    names = ", ".join(path.name for path in candidates)
    raise CatalogueError(
        f"no {stage} model can be chosen in {folder}: it holds {names}. "
        f"Set MEDIASERVER_{stage.upper()}_MODEL to one"
    )


def _ocr_models() -> dict[Task, Path]:
    """Finds the PP-OCR weights in their package, without importing the package, which is slow."""
    spec = importlib.util.find_spec(_OCR_PACKAGE)
    if spec is None or spec.origin is None:
        return {}
    folder = Path(spec.origin).parent / "models"
    found = {task: next(iter(sorted(folder.glob(pattern))), None) for task, pattern in _OCR_PATTERN.items()}
    return {task: path for task, path in found.items() if path is not None}


def _licence(path: Path, facts: NetworkFacts) -> str:
    """Reads the exporter's metadata ("AGPL-3.0 License (https://…)"), else ``<model>.licence.txt``."""
    beside = path.with_suffix(".licence.txt")
    text = facts.metadata.get("license", "")
    if not text and beside.is_file():
        text = beside.read_text("utf-8", errors="replace").partition("\n")[0]
    return text.partition(" ")[0][:_MAX_LICENCE]


def _network_size(shape: Shape) -> tuple[int, int]:
    """Width and height of an NCHW input; a dynamic side is the frame's, rounded up to a multiple of 32."""
    height, width = shape[2], shape[3]
    return (
        width if isinstance(width, int) else _rounded_up(FRAME_WIDTH),
        height if isinstance(height, int) else _rounded_up(FRAME_HEIGHT),
    )


def _rounded_up(size: int) -> int:
    return -(-size // _MULTIPLE) * _MULTIPLE


def _labels(path: Path, facts: NetworkFacts, count: int | None) -> tuple[str, ...]:
    """Labels from the exporter's metadata, else from ``<model>.labels.txt``, else COCO's for 80 classes."""
    beside = path.with_suffix(".labels.txt")
    if "names" in facts.metadata:
        labels = _names(path, facts.metadata["names"])
    elif beside.is_file():
        lines = beside.read_text("utf-8", errors="replace").splitlines()
        labels = tuple(line.strip() for line in lines if line.strip())
    elif count == len(COCO_LABELS):
        labels = COCO_LABELS
    else:
        raise CatalogueError(f"{path}: class names are unknown; write them to {beside}, one a line")
    if count is not None and count != len(labels):
        raise CatalogueError(f"{path}: {len(labels)} class names for {count} classes")
    return labels


def _names(path: Path, text: str) -> tuple[str, ...]:
    """Ultralytics writes a Python dict or list: {0: 'person', 1: 'bicycle'}."""
    try:
        names = ast.literal_eval(text[:_MAX_METADATA])
        return tuple(str(names[index]) for index in range(len(names)))
    except (ValueError, SyntaxError, KeyError, TypeError, MemoryError, RecursionError) as exc:
        raise CatalogueError(f"{path}: the class names in its metadata cannot be read") from exc


def _characters(path: Path, facts: NetworkFacts) -> tuple[str, ...]:
    """The recogniser's classes: the CTC blank, the dictionary in its metadata, a space."""
    text = facts.metadata.get("character")
    if text is None:
        raise CatalogueError(f"{path}: has no dictionary in its metadata")
    characters = ("", *text.removesuffix("\n").split("\n"), " ")
    count = next((shape[-1] for shape in facts.output_shapes[:1] if shape), None)
    if isinstance(count, int) and count != len(characters):
        raise CatalogueError(f"{path}: {len(characters)} characters for {count} classes")
    return characters
