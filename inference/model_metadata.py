"""A model's `ModelInfo` as text, which travels with the model: in an ONNX file's metadata under `KEY`, and
in the parameters of its Triton configuration.

A model that carries it takes ``frames``, uint8 [n, height, width, 3] RGB as
`inference.engines.contract.Engine.infer` has them, and gives outputs named as `inference.stages.Network`
says: all pre-processing is part of its graph.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import Any

from inference.engines.contract import HeadLayout, ModelInfo, Placement, Task
from inference.stages import frame_network

KEY = "mediaserver"
INPUT = "frames"


class BadDescription(ValueError):
    """A description that cannot be used; the message says why."""


def to_text(info: ModelInfo) -> str:
    """JSON with the fields of `ModelInfo`."""
    return json.dumps(asdict(info))


def from_text(text: str) -> ModelInfo:
    """What `to_text` gave. Raises `BadDescription`."""
    try:
        fields: dict[str, Any] = json.loads(text)
        task = Task(fields["task"])
        layout, placement = fields["layout"], fields["placement"]
        if (layout is None or placement is None) and frame_network(task) is not None:
            raise ValueError(f"a model for the task {task} has a layout and a placement")
        if (layout == HeadLayout.CTC_BEST) and task is not Task.OCR_REC:
            raise ValueError(f"a model for the task {task} has no {layout} head")
        return ModelInfo(
            task,
            str(fields["name"]),
            tuple(map(str, fields["labels"])),
            None if layout is None else HeadLayout(layout),
            None if placement is None else _placement(placement),
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
