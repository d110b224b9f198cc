"""What a client may ask the pipeline for, and the server's models: a part of `signaling.messages`."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import UNSET, Meta, Struct, UnsetType

Score: TypeAlias = Annotated[float, Meta(ge=0.0, le=1.0)]
StageName: TypeAlias = Literal["detect", "pose", "segment", "ocr", "flow"]
Label: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64)]


class PipelineConfig(Struct, omit_defaults=True):
    """What to run. An absent field has the server's default in the ``hello`` of a new session. Elsewhere it
    stays as it is. ``detect``, ``pose``, ``segment``, ``ocr`` and ``flow`` have the defaults of the server's
    settings."""

    detect: bool | UnsetType = UNSET
    """Finds objects: ``result.detections``."""
    pose: bool | UnsetType = UNSET
    """Finds persons and their keypoints: ``result.poses``."""
    segment: bool | UnsetType = UNSET
    """Finds objects and their outlines: ``result.segments``."""
    ocr: bool | UnsetType = UNSET
    """Reads text when a reason holds (see OCR)."""
    flow: bool | UnsetType = UNSET
    """Measures optical flow: ``result.motion``."""
    detect_threshold: Score | UnsetType = UNSET
    """Score from which an object counts. Default 0.35."""
    pose_threshold: Score | UnsetType = UNSET
    """The same for persons. Default 0.35."""
    segment_threshold: Score | UnsetType = UNSET
    """The same for outlines. Default 0.35."""
    hysteresis: Score | UnsetType = UNSET
    """An object that is tracked may score so much less than its threshold. Default 0."""
    ocr_labels: Annotated[list[Label], Meta(max_length=16)] | UnsetType = UNSET
    """OCR runs when the detector finds one of these labels anew. Default: none."""
    ocr_on_settle: bool | UnsetType = UNSET
    """OCR runs when motion in the picture settles. Default true."""
    ocr_min_interval_s: Annotated[float, Meta(ge=0.2, le=3600.0)] | UnsetType = UNSET
    """Seconds from one OCR run to the next, except for ``trigger``. Default 1."""
    priority: Annotated[list[StageName], Meta(max_length=5)] | UnsetType = UNSET
    """Under overload the first of these stages gives way last. Stages that are absent give way before them:
    flow, ocr, segment, pose, detect."""


class Model(Struct):
    """A model that the server runs."""

    name: str
    """Its name, or the names of several, joined by ``+``."""
    labels: list[str]
    """The classes that it finds. Empty for ``ocr`` and ``flow``."""
    kinds: int = 0
    """How many classes. A model that finds persons only has 1, and may have no label."""
    licence: str | None = None
    """Licence of its weights, as an SPDX identifier. Null: unknown."""
    synthetic: bool = False
    """Whether it was trained on drawings only. Then it does not recognise real things."""
