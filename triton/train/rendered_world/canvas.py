"""A picture to draw on, which records the extent of each object."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 640, 480

Colour = tuple[int, int, int]
Point = tuple[float, float]
Box = tuple[float, float, float, float]
"""x, y of the top left corner, width, height."""

_SHIFT = 4
"""Binary places of OpenCV's coordinates behind the point."""

_CIRCLE = np.array([(np.cos(turn), np.sin(turn)) for turn in np.linspace(0, 2 * np.pi, 24, endpoint=False)])


class Extent:
    """The extent of an object, in coordinates of `rendered_world`."""

    def __init__(self) -> None:
        self._low = np.full(2, np.inf)
        self._high = np.full(2, -np.inf)

    def include(self, points: NDArray[np.float64]) -> None:
        """``points``: [n, 2]."""
        self._low = np.minimum(self._low, points.min(axis=0))
        self._high = np.maximum(self._high, points.max(axis=0))

    def box(self) -> Box:
        """Returns the box of the part inside the picture; without an area if there is none."""
        low = np.clip(self._low, 0, (WIDTH, HEIGHT))
        high = np.clip(self._high, 0, (WIDTH, HEIGHT))
        return (float(low[0]), float(low[1]), float(high[0] - low[0]), float(high[1] - low[1]))


class Canvas:
    """A canvas: ``pixels`` uint8 [height, width, 3] RGB, with the aspect of 640×480.

    ``owners``, uint8 [height, width], is the number of the visible object at each pixel, from 1 in drawing
    order. 0 is the background.
    """

    def __init__(self, width: int) -> None:
        self.scale = width / WIDTH
        self.pixels: NDArray[np.uint8] = np.zeros((round(HEIGHT * self.scale), width, 3), np.uint8)
        self.owners: NDArray[np.uint8] = np.zeros(self.pixels.shape[:2], np.uint8)
        self._objects = 0
        self._extent: Extent | None = None

    @contextlib.contextmanager
    def drawing_object(self) -> Iterator[tuple[int, Extent]]:
        """Draws one object in the block; yields its number and its extent."""
        self._objects += 1
        self._extent = Extent()
        try:
            yield self._objects, self._extent
        finally:
            self._extent = None

    def polygon(self, points: Sequence[Point] | NDArray[np.float64], colour: Colour) -> None:
        """Filled; any simple polygon."""
        self._fill(np.asarray(points, np.float64), colour)

    def rectangle(self, x: float, y: float, width: float, height: float, colour: Colour) -> None:
        """Filled, sides along the axes."""
        self.polygon([(x, y), (x + width, y), (x + width, y + height), (x, y + height)], colour)

    def circle(self, centre: Point, radius: float, colour: Colour) -> None:
        """Filled."""
        self.ellipse(centre, (radius, radius), colour)

    def ellipse(self, centre: Point, radii: Point, colour: Colour, degrees: float = 0.0) -> None:
        """Filled; turned clockwise by ``degrees``."""
        cosine, sine = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
        turn = np.array([[cosine, sine], [-sine, cosine]])
        self._fill((_CIRCLE * radii) @ turn + centre, colour)

    def limb(self, start: Point, end: Point, radii: tuple[float, float], colour: Colour) -> None:
        """A rounded stroke, as thick as ``radii`` say at its ends."""
        along = np.subtract(end, start)
        length = float(np.hypot(*along)) or 1.0
        across = np.array([-along[1], along[0]]) / length
        sides = [
            np.add(start, across * radii[0]),
            np.add(end, across * radii[1]),
            np.subtract(end, across * radii[1]),
            np.subtract(start, across * radii[0]),
        ]
        self.polygon(np.array(sides), colour)
        self.circle(start, radii[0], colour)
        self.circle(end, radii[1], colour)

    def paste(self, patch: NDArray[np.uint8], x: float, y: float, width: float, height: float) -> None:
        """Draws ``patch``, uint8 RGB of any size, into that place, to the fraction of a pixel."""
        self.rectangle(x, y, width, height, (0, 0, 0))
        # Shrunk first: the warp looks at four pixels, and would leave out the others.
        target = (max(1, round(width * self.scale)), max(1, round(height * self.scale)))
        small = cv2.resize(patch, target, interpolation=cv2.INTER_AREA)
        step = (width * self.scale / target[0], height * self.scale / target[1])
        offset = ((x * self.scale) + step[0] / 2 - 0.5, (y * self.scale) + step[1] / 2 - 0.5)
        matrix = np.array([[step[0], 0, offset[0]], [0, step[1], offset[1]]])
        size = (self.pixels.shape[1], self.pixels.shape[0])
        cv2.warpAffine(small, matrix, size, self.pixels, cv2.INTER_LINEAR, cv2.BORDER_TRANSPARENT)

    def _fill(self, corners: NDArray[np.float64], colour: Colour) -> None:
        fixed = [self._fixed(corners)]
        cv2.fillPoly(self.pixels, fixed, colour, cv2.LINE_AA, _SHIFT)
        if self._extent is not None:
            self._extent.include(corners)
            cv2.fillPoly(self.owners, fixed, self._objects, cv2.LINE_8, _SHIFT)

    def _fixed(self, points: NDArray[np.float64]) -> NDArray[np.int32]:
        """Converts coordinates: OpenCV's pixel centres are integers, here they are half a pixel further."""
        return np.asarray(np.round((points * self.scale - 0.5) * (1 << _SHIFT)), np.int32)


def shade(colour: Colour, factor: float) -> Colour:
    """Darker below 1, brighter above."""
    red, green, blue = (min(255, max(0, round(part * factor))) for part in colour)
    return (red, green, blue)
