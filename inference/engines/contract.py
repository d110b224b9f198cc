"""The contract between the pipeline and the engines that run models.

The errors form this hierarchy::

    EngineError
      ├─ ModelNotLoaded      the engine has no model for the task
      ├─ ModelFailed         this run failed; the next may succeed
      ├─ EngineUnavailable   the server that runs the models cannot be reached now
      └─ EngineOverloaded    the bounded queue of a model is full
           └─ DeadlineMissed the answer did not come in time
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
"""A model's raw outputs, float32 [n, ...] each, in the order of `inference.stages.Network.outputs`."""


class Task(StrEnum):
    """The kinds of models that the pipeline runs. The values are also their names in every engine."""

    DETECT = "detect"
    POSE = "pose"
    SEGMENT = "segment"
    POSE_CROP = "pose_crop"
    OCR_DET = "ocr_det"
    OCR_REC = "ocr_rec"


class HeadLayout(StrEnum):
    """Layouts of a head, without the batch axis. N is the number of anchors or of final boxes."""

    YOLOX = "yolox"
    """[N, 5 + classes]: raw cx, cy, log w, log h relative to the grid; objectness; class scores."""
    ULTRALYTICS_DETECT = "ultralytics-detect"
    """[4 + classes, N]: cx, cy, w, h in network pixels; class scores."""
    ULTRALYTICS_POSE = "ultralytics-pose"
    """[5 + 17 * 3, N]: cx, cy, w, h, score, then x, y, visibility of each keypoint."""
    ULTRALYTICS_SEGMENT = "ultralytics-segment"
    """[4 + classes + 32, N]: cx, cy, w, h in network pixels; class scores; coefficients of the mask.

    A second output has the prototypes, [32, height, width].
    """
    END_TO_END = "end-to-end"
    """[N, 6 + more]: x1, y1, x2, y2 in network pixels, score, class; after non-maximum suppression (NMS).

    Pose adds 17 * 3 numbers: x, y, score of each keypoint. Segmentation adds 32 coefficients, and prototypes
    as a second output.
    """
    CANDIDATES = "candidates"
    """[N, 6 + more]: cx, cy, w, h in network pixels, score, class; the best candidates before NMS, best
    first.

    Pose and segmentation add the same as for END_TO_END. `mediaserver.models` exports this layout, as heads
    of the layouts above are 25 to 80 times as large.
    """
    CTC_BEST = "ctc-best"
    """OCR_REC, [steps, 3]: high byte and low byte of the best class of each step, and its probability.

    Greedy CTC needs no more. The probabilities of all 18 thousand characters would take 3 MB a line. The
    class is in two bytes, as half precision does not hold every integer above 2048. Exports of earlier
    versions give [steps, 2], with the class as one number.
    """


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the 320×240 canvas lies in a network input of ``width`` × ``height`` pixels.

    The canvas is scaled by ``scale``, then shifted right by ``left`` and down by ``top`` network pixels. The
    rest is padding of value 114.
    """

    width: int
    height: int
    scale: float
    left: float
    top: float


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """The facts that a caller needs to read a model's raw output.

    ``placement`` is ``None`` for models that do not take the whole canvas. For these ``layout`` is ``None``,
    too, unless it is `HeadLayout.CTC_BEST`. ``labels`` are class names by index for detectors, the characters
    of the dictionary for OCR_REC, else empty. ``licence`` is the SPDX identifier of the weights' licence,
    empty if unknown. ``synthetic`` is true if the model was trained on drawings only. ``crop_side`` is the
    height and width in pixels of the crops for POSE_CROP, else ``None``.
    """

    task: Task
    name: str
    labels: tuple[str, ...]
    layout: HeadLayout | None
    placement: Placement | None
    licence: str = ""
    synthetic: bool = False
    crop_side: int | None = None


@dataclass(frozen=True, slots=True)
class InFlight:
    """The useful number of frames in an engine at once: of all sessions together, and of one session."""

    frames: int
    of_one_session: int


class EngineError(Exception):
    """Base of every error that an engine raises."""


class ModelNotLoaded(EngineError):
    """The engine has no model for that task."""


class ModelFailed(EngineError):
    """A run failed inside the engine; the message gives the reason."""


class EngineOverloaded(EngineError):
    """The request was refused, as the queue is full."""


class DeadlineMissed(EngineOverloaded):
    """The answer did not come before the request's deadline."""


class EngineUnavailable(EngineError):
    """The server that runs the models cannot be reached now. The engine keeps trying."""


class Engine(Protocol):
    """Runs models. It is asynchronous, so that one run can serve requests of many sessions as a batch."""

    @property
    def models(self) -> Mapping[Task, ModelInfo]:
        """Models that are loaded and ready."""
        ...

    @property
    def trouble(self) -> str | None:
        """The reason why no model can be run now, as text; ``None`` if models can be run."""
        ...

    @property
    def in_flight(self) -> InFlight:
        """The number of frames that keep the engine busy, which may change at any time.

        More frames would only wait in the engine, where newer frames cannot replace them.
        """
        ...

    async def ready(self) -> None:
        """Waits until models can be run for the first time. `models` is filled from then on."""
        ...

    async def infer(self, task: Task, images: NDArray[np.uint8]) -> Head:
        """Runs one model and returns its raw head.

        ``images`` is uint8 [n, height, width, 3] RGB. `inference.stages.Network` defines the size, and
        `ModelInfo.crop_side` that of crops. For OCR_DET both sides are multiples of 32. Each output has the n
        items in the same order. The engine does all pre-processing of a model.

        Raises `EngineError`. Cancelling the call withdraws a request that has not started, if the engine can.
        """
        ...

    async def close(self) -> None:
        """Refuses new requests, ends the runs in progress and frees the models. Idempotent."""
        ...


class EngineObserver(Protocol):
    """Receives an engine's events. `mediaserver.telemetry.metrics` counts them."""

    def batch_done(self, task: Task, size: int, seconds: float) -> None:
        """One run of ``size`` items succeeded after ``seconds``."""
        ...

    def batch_failed(self, task: Task, size: int, error: EngineError) -> None:
        """One run of ``size`` items raised ``error``."""
        ...

    def endpoint_seen(self, endpoint: str, *, ready: bool, shares_memory: bool) -> None:
        """A server that runs models was polled. ``ready``: it can be used.

        ``shares_memory``: it reads frames from shared memory of this process.
        """
        ...
