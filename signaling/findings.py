"""What is found in a frame, as results and events carry it: the parts of `signaling.messages` that grow with
what the server can find."""

from __future__ import annotations

from msgspec import Struct


class WireDetection(Struct):
    """An object. ``box`` is x, y, width, height, normalised to the frame."""

    id: int
    label: str
    score: float
    box: tuple[float, float, float, float]
    velocity: tuple[float, float] | None


class WirePose(Struct):
    """A person: 17 COCO keypoints as x, y, score."""

    id: int
    score: float
    box: tuple[float, float, float, float]
    keypoints: list[tuple[float, float, float]]


class WireSegment(Struct):
    """An object with its outline: a closed polygon of 64 points at most, x and y normalised to the frame;
    empty where the model shows none. A result has the best 20."""

    id: int
    label: str
    score: float
    box: tuple[float, float, float, float]
    polygon: list[tuple[float, float]]


class WireText(Struct):
    """A line of text; ``quad`` is clockwise from its top left."""

    text: str
    score: float
    quad: tuple[tuple[float, float], tuple[float, float], tuple[float, float], tuple[float, float]]


class WireMotion(Struct):
    """Global motion in frame widths and heights per second."""

    dx: float
    dy: float
    magnitude: float
