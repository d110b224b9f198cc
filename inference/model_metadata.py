"""Serialises a `ModelInfo` as text that is stored with the model.

It is stored under `KEY` in the metadata of an ONNX file, and in the parameters of a Triton configuration. The
graph of such a model contains all pre-processing. Its input is ``frames``, uint8 [n, height, width, 3] RGB,
as in `inference.engines.contract.Engine.infer`. Its outputs have the names in `inference.stages.Network`.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import Any

from inference.engines.contract import HeadLayout, ModelInfo, Placement, Task
from inference.stages import CROP_SIDES, frame_network

KEY = "mediaserver"
INPUT = "frames"


class BadDescription(ValueError):
    """The description cannot be used; the message gives the reason."""


def to_text(info: ModelInfo) -> str:
    """Returns the fields of ``info`` as JSON."""
    return json.dumps(asdict(info))


def from_text(text: str) -> ModelInfo:
    """Parses text made by `to_text`. Raises `BadDescription`."""
    try:
        fields: dict[str, Any] = json.loads(text)
        task = Task(fields["task"])
        layout, placement = fields["layout"], fields["placement"]
        if (layout is None or placement is None) and frame_network(task) is not None:
            raise ValueError(f"a model for the task {task} has a layout and a placement")
        if (layout == HeadLayout.CTC_BEST) and task is not Task.OCR_REC:
            raise ValueError(f"a model for the task {task} has no {layout} head")
        crop_side = int(fields["crop_side"]) if task is Task.POSE_CROP else None
        if crop_side is not None and crop_side not in CROP_SIDES:
            raise ValueError(f"crops of {crop_side} pixels are not taken")
        return ModelInfo(
            task,
            str(fields["name"]),
            tuple(map(str, fields["labels"])),
            None if layout is None else HeadLayout(layout),
            None if placement is None else _placement(placement),
            str(fields.get("licence", "")),
            fields.get("synthetic", False) is True,
            crop_side,
        )
    except KeyError as exc:
        raise BadDescription(f"its description lacks {exc}") from exc
    except (ValueError, TypeError, ArithmeticError, AttributeError, RecursionError) as exc:
        raise BadDescription(f"its description cannot be read: {str(exc)[:200]}") from exc


def _placement(fields: dict[str, Any]) -> Placement:
    placement = Placement(
        int(fields["width"]),
        int(fields["height"]),
        float(fields["scale"]),
        float(fields["left"]),
        float(fields["top"]),
    )
    finite = all(map(math.isfinite, (placement.scale, placement.left, placement.top)))
    if not finite or min(placement.width, placement.height) < 1 or placement.scale <= 0:
        raise ValueError(f"{placement} is no place in a network's input")
    return placement
