"""The contract between the pipeline and whatever runs the models.

``EngineError``
  ├─ ``ModelNotLoaded``   the engine has no model of that name
  ├─ ``ModelFailed``      this run failed; the next one may work
  ├─ ``EngineUnavailable`` what runs the models cannot be reached now
  └─ ``EngineOverloaded`` the bounded queue of a model is full
       └─ ``DeadlineMissed`` the answer did not come in time
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from inference.types import Floats

Head: TypeAlias = tuple[Floats, ...]
"""A model's raw outputs, float32 [n, ...] each, in the order that `inference.stages.Network` names them."""


class Task(StrEnum):
    """The models that the pipeline knows; also their names in every engine."""

    DETECT = "detect"
    POSE = "pose"
    SEGMENT = "segment"
    OCR_DET = "ocr_det"
    OCR_REC = "ocr_rec"


class HeadLayout(StrEnum):
    """How a head lays out its numbers, where there are several ways; N is the number of anchors or of final
    boxes."""

    YOLOX = "yolox"
    """[N, 5 + classes]: raw cx, cy, log w, log h relative to the grid; objectness; class scores."""
    ULTRALYTICS_DETECT = "ultralytics-detect"
    """[4 + classes, N]: cx, cy, w, h in network pixels; class scores."""
    ULTRALYTICS_POSE = "ultralytics-pose"
    """[5 + 17 * 3, N]: cx, cy, w, h, score, then x, y, visibility of each keypoint."""
    ULTRALYTICS_SEGMENT = "ultralytics-segment"
    """[4 + classes + 32, N]: cx, cy, w, h in network pixels; class scores; coefficients of the mask. With
    prototypes [32, height, width]."""
    END_TO_END = "end-to-end"
    """[N, 6], for pose [N, 6 + 17 * 3], for segmentation [N, 6 + 32] and prototypes: x1, y1, x2, y2, score,
    class; NMS already done."""
    CTC_BEST = "ctc-best"
    """OCR_REC, [steps, 2]: the best class of each step and its probability, all that greedy CTC needs; in
    place of the probabilities of 18 thousand characters, 3 MB a line."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the 320×240 frame lies in the network's input: scaled by ``scale``, then shifted right by
    ``left`` and down by ``top`` network pixels. The rest is padding of value 114."""

    width: int
    height: int
    scale: float
    left: float
    top: float


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What a caller must know to use a model's raw output.

    ``placement`` is ``None`` for OCR models, and so is ``layout`` unless it is `HeadLayout.CTC_BEST`.
    ``labels`` are class names by index for
    detectors, the characters of the recogniser's dictionary for OCR_REC, else empty.
    """

    task: Task
    name: str
    labels: tuple[str, ...]
    layout: HeadLayout | None
    placement: Placement | None


@dataclass(frozen=True, slots=True)
class InFlight:
    """How many frames it pays to have in an engine at once: over all sessions, and of any one of them."""

    frames: int
    of_one_session: int


class EngineError(Exception):
    """Base of every error that an engine raises."""


class ModelNotLoaded(EngineError):
    """The engine has no model for that task."""


class ModelFailed(EngineError):
    """A run failed inside the engine; the message says how."""


class EngineOverloaded(EngineError):
    """The request was turned away instead of being queued without bound."""


class DeadlineMissed(EngineOverloaded):
    """The answer did not come before the request's deadline."""


class EngineUnavailable(EngineError):
    """What runs the models cannot be reached now; it is tried again."""


class Engine(Protocol):
    """Runs models. Asynchronous, so that an engine can batch requests of many sessions in one run."""

    @property
    def models(self) -> Mapping[Task, ModelInfo]:
        """Models that are loaded and ready."""
        ...

    @property
    def trouble(self) -> str | None:
        """Why no model can be run now, in words; ``None`` while all is well."""
        ...

    @property
    def in_flight(self) -> InFlight:
        """As many frames as keep it busy, and no more: what waits here can no longer be replaced by a newer
        frame. May change while the engine runs."""
        ...

    async def ready(self) -> None:
        """Returns when models can be run for the first time; `models` is known from then on."""
        ...

    async def infer(self, task: Task, images: NDArray[np.uint8]) -> Head:
        """Runs one model and returns its raw head.

        ``images`` is uint8 [n, height, width, 3] RGB, in the size that `inference.stages.Network` says; for
        OCR_DET sides are multiples of 32. Each output has the n items in the same order. All pre-processing
        that a model needs happens behind this call.

        Raises `EngineError`. Cancelling the call withdraws the request where it has not started.
        """
        ...

    async def close(self) -> None:
        """Stops accepting work, lets the runs in progress end, frees the models. Idempotent."""
        ...


class EngineObserver(Protocol):
    """Told by an engine what it did; `mediaserver.telemetry.metrics` counts it."""

    def batch_done(self, task: Task, size: int, seconds: float) -> None:
        """One run of ``size`` frames ended well after ``seconds``."""
        ...

    def batch_failed(self, task: Task, size: int, error: EngineError) -> None:
        """One run of ``size`` frames raised ``error``."""
        ...

    def endpoint_seen(self, endpoint: str, *, ready: bool) -> None:
        """A server that runs models was asked, and can be used or not."""
        ...
