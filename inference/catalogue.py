"""Which model files there are, and what each wants and gives."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from inference.coco import COCO_LABELS
from inference.engines.contract import HeadLayout, ModelInfo, Task
from inference.heads.candidates import Shape, UnknownHead
from inference.model_metadata import KEY, BadDescription, from_text
from inference.preprocess import UNIT, UNSCALED, InputSpec, place
from inference.stages import FRAME_NETWORKS, Stage, frame_network
from inference.types import FRAME_HEIGHT, FRAME_WIDTH

BUILT_IN = Path(__file__).parent / "builtin"
"""Models that come with the project."""

_OCR_PACKAGE = "rapidocr"
_OCR_PATTERN = {Task.OCR_DET: "*_det_*.onnx", Task.OCR_REC: "*_rec_*.onnx"}
_OCR_INPUT = InputSpec(None, bgr=True, mean=(127.5,) * 3, scale=(1 / 127.5,) * 3)
"""PP-OCRv6, detector and recogniser: BGR in −1..1, as large as it comes."""

_MAX_METADATA = 1_000_000
_MULTIPLE = 32


class CatalogueError(Exception):
    """A model is missing or cannot be used; the message says what to do."""


@dataclass(frozen=True, slots=True)
class NetworkFacts:
    """What a model file says of itself; as `Shape`, its input and its outputs."""

    input_shape: Shape
    output_shapes: Sequence[Shape]
    metadata: Mapping[str, str]


def find_models(
    directory: Path | None,
    *,
    cache: Path | None = None,
    named: Mapping[Stage, str | None] | None = None,
) -> dict[Task, Path]:
    """The model files to use: detection always, those of the other stages where there are any.

    For each stage the first folder that has a model for it: ``directory``, ``cache``, then `BUILT_IN`. The
    built-in models other than the detector know a drawn world only: unless named, they are not put beside
    another detector. ``named`` are names in one of these folders, with or without ``.onnx``, or paths.
    Raises `CatalogueError`, also when ``directory`` is named and not there.
    """
    if directory is not None and not directory.is_dir():
        raise CatalogueError(
            f"no models: the folder {directory} does not exist. Set MEDIASERVER_MODELS to a folder with YOLO "
            f"models as ONNX, or leave it out: then those pulled are used, else those built in"
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
            found[network.task] = _choose(folders, stage, name)
        elif any(_candidates(folder, stage) for folder in beside):
            found[network.task] = _choose(beside, stage, None)
    return found | _ocr_models()


def describe(task: Task, path: Path, facts: NetworkFacts) -> tuple[ModelInfo, InputSpec | None]:
    """How to feed a model and how to read it; a model that describes itself takes the frame as it is.

    Raises `CatalogueError`.
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
    if task is Task.OCR_DET:
        return ModelInfo(task, path.stem, (), None, None), _OCR_INPUT
    if task is Task.OCR_REC:
        return ModelInfo(task, path.stem, _characters(path, facts), None, None), _OCR_INPUT
    network = frame_network(task)
    assert network is not None, "of the others there are two, and these are above"
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
    return ModelInfo(task, path.stem, labels, layout, spec.placement), spec


def _described(task: Task, path: Path, text: str) -> ModelInfo:
    try:
        info = from_text(text)
    except BadDescription as exc:
        raise CatalogueError(f"{path}: {exc}") from exc
    if info.task is not task:
        raise CatalogueError(f"{path}: a model for the task {info.task!r} cannot {task}")
    return info


def _choose(folders: Sequence[Path], stage: Stage, wanted: str | None) -> Path:
    """Raises `CatalogueError` where there is none, or the choice is not clear."""
    looked_in = ", ".join(map(str, folders))
    if wanted is not None:
        named = [folder / name for folder in folders for name in (wanted, f"{wanted}.onnx")]
        for path in (*named, Path(wanted)):
            if path.is_file():
                return path
        raise CatalogueError(f"no {stage} model {wanted!r}: neither in {looked_in} nor a path to a file")
    for folder in folders:
        if candidates := _candidates(folder, stage):
            return _best(folder, stage, candidates)
    raise CatalogueError(
        f"no {stage} model in {looked_in}. `mediaserver models pull` fetches one; "
        f"MEDIASERVER_MODELS names a folder with your own"
    )


def _candidates(folder: Path, stage: Stage) -> list[Path]:
    """All files that may be models for the stage; none where the folder is not there. A detector is what no
    other stage calls its own."""
    own = {each: set(folder.glob(network.files)) for each, network in FRAME_NETWORKS.items()}
    if stage is Stage.DETECT:
        own[stage] = own[stage].difference(*(files for each, files in own.items() if each is not stage))
    return sorted(own[stage])


def _best(folder: Path, stage: Stage, candidates: Sequence[Path]) -> Path:
    by_name = {path.stem: path for path in candidates}
    known = FRAME_NETWORKS[stage].preferred
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
    """The PP-OCR weights that the package carries; it is found, not imported, as importing it is slow."""
    spec = importlib.util.find_spec(_OCR_PACKAGE)
    if spec is None or spec.origin is None:
        return {}
    folder = Path(spec.origin).parent / "models"
    found = {task: next(iter(sorted(folder.glob(pattern))), None) for task, pattern in _OCR_PATTERN.items()}
    return {task: path for task, path in found.items() if path is not None}


def _network_size(shape: Shape) -> tuple[int, int]:
    """Width and height of an NCHW input; where it takes any, the frame's, made a multiple of 32."""
    height, width = shape[2], shape[3]
    return (
        width if isinstance(width, int) else _rounded_up(FRAME_WIDTH),
        height if isinstance(height, int) else _rounded_up(FRAME_HEIGHT),
    )


def _rounded_up(size: int) -> int:
    return -(-size // _MULTIPLE) * _MULTIPLE


def _labels(path: Path, facts: NetworkFacts, count: int | None) -> tuple[str, ...]:
    """From the exporter's metadata, else from a file beside the model, else COCO's when there are 80."""
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
