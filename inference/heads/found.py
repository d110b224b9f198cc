"""What is read from a head, and how it becomes results."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from inference.flow import FlowField
from inference.letterbox import Letterbox
from inference.types import Box, Floats


class Thing(NamedTuple):
    """What every stage knows of a thing that it found, once it has been tracked; as in `Detection`."""

    id: int
    label: str
    score: float
    box: Box


@dataclass(frozen=True, slots=True)
class Found(ABC):
    """n things, best first: ``boxes`` float32 [n, 4] x, y, width, height in canvas pixels, ``scores``
    float32 [n] in 0..1, ``classes`` [n] indices into the model's labels, 0 where it has none."""

    boxes: Floats
    scores: Floats
    classes: NDArray[np.intp]

    @abstractmethod
    def results(
        self, things: Sequence[Thing], letterbox: Letterbox, flow: FlowField | None
    ) -> tuple[object, ...]:
        """What goes into `PipelineResult`, one for each of the n ``things``; ``letterbox`` leads from the
        canvas to the frame."""
