"""Vehicles, animals, signs and traffic lights.

``x``, ``y`` is the middle of the object's base on the ground, or the centre of an object that ``hangs``.
``facing`` is 1 to the right, -1 to the left. ``reach`` is the approximate width and height in pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from rendered_world.canvas import Canvas, Colour, Point, shade

_GLASS: Colour = (58, 74, 92)
_TYRE: Colour = (28, 28, 32)
_LAMPS: tuple[tuple[Colour, Colour], ...] = (
    ((255, 40, 30), (70, 22, 20)),
    ((255, 190, 40), (80, 62, 20)),
    ((60, 255, 110), (20, 66, 34)),
)
"""Lit and dark colours, from the top."""


def _at(x: float, y: float, size: float, facing: int, points: list[Point]) -> list[Point]:
    """Scales the points of a drawing of unit ``size`` that faces right, y up from the ground."""
    return [(x + facing * px * size, y - py * size) for px, py in points]


@dataclass(frozen=True, slots=True)
class Car:
    """A car from the side, ``length`` pixels long."""

    x: float
    y: float
    length: float
    facing: int
    colour: Colour
    boxy: float
    """0 is a saloon, 1 a van."""
    label = "car"
    hangs = False

    @property
    def reach(self) -> tuple[float, float]:
        """About how wide and high it is."""
        return self.length, 0.45 * self.length

    def draw(self, canvas: Canvas) -> None:
        """Draws it."""
        x, y, size, facing = self.x, self.y, self.length, self.facing
        roof, rear = 0.36 + 0.1 * self.boxy, -0.34 - 0.14 * self.boxy
        hood = 0.3 + 0.12 * self.boxy
        body = [(-0.5, 0.08), (-0.5, 0.22), (rear, 0.24), (rear + 0.08, roof), (0.12, roof), (hood, 0.24)]
        body += [(0.46, 0.2), (0.5, 0.16), (0.5, 0.08)]
        canvas.polygon(_at(x, y, size, facing, body), self.colour)
        low = [(-0.5, 0.07), (-0.5, 0.12), (0.5, 0.12), (0.5, 0.07)]
        canvas.polygon(_at(x, y, size, facing, low), shade(self.colour, 0.7))
        windows = [(rear + 0.05, 0.245), (rear + 0.11, roof - 0.03), (-0.06, roof - 0.03), (-0.06, 0.245)]
        canvas.polygon(_at(x, y, size, facing, windows), _GLASS)
        front = [(-0.03, 0.245), (-0.03, roof - 0.03), (0.1, roof - 0.03), (hood - 0.06, 0.245)]
        canvas.polygon(_at(x, y, size, facing, front), shade(_GLASS, 1.25))
        for wheel in (-0.29, 0.3):
            (centre,) = _at(x, y, size, facing, [(wheel, 0.085)])
            canvas.circle(centre, 0.085 * size, _TYRE)
            canvas.circle(centre, 0.045 * size, (150, 152, 158))
        (lamp,) = _at(x, y, size, facing, [(0.475, 0.165)])
        canvas.circle(lamp, 0.02 * size, (255, 244, 190))


@dataclass(frozen=True, slots=True)
class CarFront:
    """A car from the front or from behind, ``width`` pixels wide."""

    x: float
    y: float
    width: float
    colour: Colour
    behind: bool
    label = "car"
    hangs = False

    @property
    def reach(self) -> tuple[float, float]:
        """About how wide and high it is."""
        return self.width, 0.8 * self.width

    def draw(self, canvas: Canvas) -> None:
        """Draws it."""
        x, y, size = self.x, self.y, self.width
        for side in (-1, 1):
            canvas.rectangle(
                x + side * 0.36 * size - 0.1 * size, y - 0.2 * size, 0.2 * size, 0.2 * size, _TYRE
            )
        cabin = [(-0.4, 0.42), (-0.3, 0.78), (0.3, 0.78), (0.4, 0.42)]
        canvas.polygon(_at(x, y, size, 1, cabin), self.colour)
        glass = [(-0.34, 0.45), (-0.26, 0.74), (0.26, 0.74), (0.34, 0.45)]
        canvas.polygon(_at(x, y, size, 1, glass), _GLASS)
        canvas.rectangle(x - 0.5 * size, y - 0.46 * size, size, 0.36 * size, self.colour)
        canvas.rectangle(x - 0.5 * size, y - 0.18 * size, size, 0.08 * size, shade(self.colour, 0.65))
        lamps = (225, 40, 36) if self.behind else (255, 246, 200)
        for side in (-1, 1):
            canvas.ellipse((x + side * 0.39 * size, y - 0.36 * size), (0.08 * size, 0.05 * size), lamps)
        canvas.rectangle(x - 0.13 * size, y - 0.27 * size, 0.26 * size, 0.07 * size, (240, 240, 232))


@dataclass(frozen=True, slots=True)
class Bus:
    """A bus from the side, ``length`` pixels long."""

    x: float
    y: float
    length: float
    facing: int
    colour: Colour
    label = "bus"
    hangs = False

    @property
    def reach(self) -> tuple[float, float]:
        """About how wide and high it is."""
        return self.length, 0.36 * self.length

    def draw(self, canvas: Canvas) -> None:
        """Draws it."""
        x, y, size, facing = self.x, self.y, self.length, self.facing
        body = [(-0.5, 0.05), (-0.5, 0.34), (-0.48, 0.36), (0.47, 0.36), (0.5, 0.32), (0.5, 0.05)]
        canvas.polygon(_at(x, y, size, facing, body), self.colour)
        stripe = [(-0.5, 0.13), (-0.5, 0.16), (0.5, 0.16), (0.5, 0.13)]
        canvas.polygon(_at(x, y, size, facing, stripe), shade(self.colour, 0.6))
        for pane in range(6):
            left = -0.46 + pane * 0.14
            window = [(left, 0.2), (left, 0.32), (left + 0.12, 0.32), (left + 0.12, 0.2)]
            canvas.polygon(_at(x, y, size, facing, window), _GLASS)
        door = [(0.39, 0.07), (0.39, 0.32), (0.47, 0.32), (0.47, 0.07)]
        canvas.polygon(_at(x, y, size, facing, door), shade(_GLASS, 1.3))
        for wheel in (-0.3, 0.28):
            (centre,) = _at(x, y, size, facing, [(wheel, 0.055)])
            canvas.circle(centre, 0.055 * size, _TYRE)
            canvas.circle(centre, 0.028 * size, (140, 142, 148))


@dataclass(frozen=True, slots=True)
class Dog:
    """A dog from the side, ``length`` pixels from tail to nose; a step takes 2π of ``phase``."""

    x: float
    y: float
    length: float
    facing: int
    colour: Colour
    phase: float
    label = "dog"
    hangs = False

    @property
    def reach(self) -> tuple[float, float]:
        """About how wide and high it is."""
        return self.length, 0.66 * self.length

    def draw(self, canvas: Canvas) -> None:
        """Draws it."""
        x, y, size, facing = self.x, self.y, self.length, self.facing

        def stroke(start: Point, end: Point, radii: tuple[float, float], colour: Colour) -> None:
            first, last = _at(x, y, size, facing, [start, end])
            canvas.limb(first, last, (radii[0] * size, radii[1] * size), colour)

        swing = 0.07 * math.sin(self.phase)
        for root, foot, light in (
            (-0.2, swing, 0.75),
            (0.2, -swing, 0.75),
            (-0.24, -swing, 1.0),
            (0.16, swing, 1.0),
        ):
            stroke((root, 0.3), (root + foot, 0.03), (0.05, 0.03), shade(self.colour, light))
        stroke((-0.27, 0.38), (-0.46, 0.5 + 0.03 * math.sin(2 * self.phase)), (0.04, 0.02), self.colour)
        stroke((-0.22, 0.36), (0.2, 0.38), (0.11, 0.12), self.colour)
        stroke((0.22, 0.42), (0.32, 0.56), (0.08, 0.07), self.colour)
        stroke((0.34, 0.58), (0.46, 0.54), (0.085, 0.045), self.colour)
        stroke((0.29, 0.64), (0.26, 0.54), (0.035, 0.03), shade(self.colour, 0.6))
        (nose,) = _at(x, y, size, facing, [(0.5, 0.55)])
        canvas.circle(nose, 0.022 * size, (20, 20, 20))


@dataclass(frozen=True, slots=True)
class Bird:
    """A bird that stands, ``size`` pixels from tail to beak."""

    x: float
    y: float
    size: float
    facing: int
    colour: Colour
    label = "bird"
    hangs = False

    @property
    def reach(self) -> tuple[float, float]:
        """About how wide and high it is."""
        return self.size, 0.8 * self.size

    def draw(self, canvas: Canvas) -> None:
        """Draws it."""
        x, y, size, facing = self.x, self.y, self.size, self.facing
        for leg in (-0.04, 0.05):
            first, last = _at(x, y, size, facing, [(leg, 0.25), (leg + 0.01, 0.0)])
            canvas.limb(first, last, (0.012 * size, 0.012 * size), (190, 120, 60))
        tail = [(-0.2, 0.4), (-0.5, 0.3), (-0.5, 0.38), (-0.15, 0.5)]
        canvas.polygon(_at(x, y, size, facing, tail), shade(self.colour, 0.7))
        (body, head, wing) = _at(x, y, size, facing, [(0.0, 0.42), (0.27, 0.66), (-0.08, 0.45)])
        canvas.ellipse(body, (0.3 * size, 0.2 * size), self.colour, -25.0 * facing)
        canvas.ellipse(wing, (0.22 * size, 0.12 * size), shade(self.colour, 0.75), -20.0 * facing)
        canvas.circle(head, 0.13 * size, self.colour)
        beak = [(0.38, 0.7), (0.5, 0.64), (0.38, 0.61)]
        canvas.polygon(_at(x, y, size, facing, beak), (240, 170, 50))
        (eye,) = _at(x, y, size, facing, [(0.31, 0.69)])
        canvas.circle(eye, 0.025 * size, (15, 15, 15))


@dataclass(frozen=True, slots=True)
class TrafficLight:
    """Three lamps in a box around ``x``, ``y``, ``height`` pixels high; ``lit`` counts from above."""

    x: float
    y: float
    height: float
    lit: int
    label = "traffic light"
    hangs = True

    @property
    def reach(self) -> tuple[float, float]:
        """About how wide and high it is."""
        return 0.4 * self.height, self.height

    def draw(self, canvas: Canvas) -> None:
        """Draws it."""
        size = self.height
        canvas.rectangle(self.x - 0.2 * size, self.y - 0.5 * size, 0.4 * size, size, (34, 38, 40))
        for lamp, (bright, dark) in enumerate(_LAMPS):
            centre = (self.x, self.y + (lamp - 1) * 0.31 * size)
            canvas.circle(centre, 0.13 * size, bright if lamp == self.lit else dark)


@dataclass(frozen=True, slots=True)
class Sign:
    """A board with one line of text around ``x``, ``y``, ``height`` pixels high."""

    x: float
    y: float
    height: float
    text: str
    board: Colour
    ink: Colour
    label = "sign"
    hangs = True

    @property
    def reach(self) -> tuple[float, float]:
        """About how wide and high it is."""
        return self.height * 0.55 * (len(self.text) + 1), self.height

    def draw(self, canvas: Canvas) -> None:
        """Draws it. The text is drawn large and scaled down, so that it is smooth at any size."""
        face, weight, margin = cv2.FONT_HERSHEY_DUPLEX, 6, 34
        (width, height), _ = cv2.getTextSize(self.text, face, 3.0, weight)
        patch = np.full((height + 2 * margin, width + 2 * margin, 3), self.board, np.uint8)
        cv2.rectangle(patch, (6, 6), (patch.shape[1] - 7, patch.shape[0] - 7), self.ink, 4)
        cv2.putText(patch, self.text, (margin, margin + height), face, 3.0, self.ink, weight, cv2.LINE_AA)
        rows, columns = patch.shape[:2]
        wide = self.height * columns / rows
        canvas.paste(patch, self.x - wide / 2, self.y - self.height / 2, wide, self.height)


Thing = Car | CarFront | Bus | Dog | Bird | TrafficLight | Sign
LABELS = ("person", "car", "bus", "dog", "bird", "traffic light", "sign")
