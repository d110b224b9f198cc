"""Base class of the objects decoded from a head."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from inference.letterbox import Letterbox
from inference.types import Box, Floats, Point


class Thing(NamedTuple):
    """The fields that every tracked object has, as in `Detection`."""

    id: int
    label: str
    score: float
    box: Box
    velocity: Point | None = None


@dataclass(frozen=True, slots=True)
class Found(ABC):
    """n objects, best first.

    ``boxes`` is float32 [n, 4]: x, y, width, height in canvas pixels. ``scores`` is float32 [n] in 0..1.
    ``classes`` [n] are indices into the model's labels, 0 if the model has none.
    """

    boxes: Floats
    scores: Floats
    classes: NDArray[np.intp]

    def keypoints_in(self, letterbox: Letterbox) -> Floats | None:
        """Keypoints float32 [n, k, 3]: x, y normalised to the frame, score; ``None`` if there are none."""
        return None

    def only(self, rows: Sequence[int]) -> Self:
        """Returns the objects at ``rows``, in that order."""
        values: dict[str, Any] = {
            name: value[rows] if isinstance(value, np.ndarray) else tuple(value[row] for row in rows)
            for name, value in ((field.name, getattr(self, field.name)) for field in dataclasses.fields(self))
        }
        return dataclasses.replace(self, **values)

    @abstractmethod
    def results(self, things: Sequence[Thing], letterbox: Letterbox) -> tuple[object, ...]:
        """Returns one entry for `PipelineResult` for each of the n ``things``.

        ``letterbox`` converts canvas pixels to coordinates of the frame.
        """
