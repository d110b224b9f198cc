"""Clips of moving objects with identities in each frame, for measuring tracking.

A frame is a pure function of family, seed and time. So any frame can be drawn by its number alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

import cv2
import numpy as np
from numpy.typing import NDArray

from rendered_world import background
from rendered_world.canvas import WIDTH, Canvas, Colour
from rendered_world.person import Look, Person, random_look, standing, walking
from rendered_world.scene import Scene, Truth
from rendered_world.things import Bird, Bus, Car, Dog, Thing

FPS = 30


class Family(StrEnum):
    """The difficulty of a clip."""

    CROSSINGS = "crossings"
    TURNS = "turns"
    OCCLUSIONS = "occlusions"
    FAST = "fast"
    SHAKING = "shaking"
    STREET = "street"


_LAPS = 100
"""Offset between the identities of two actors, more than the laps of an actor in a clip."""
_OUTSIDE = (-110.0, WIDTH + 110.0)

Maker = Callable[[float, float, int], Person | Thing]
"""Makes an actor from x, the distance gone in pixels, and the direction: 1 is right, -1 left."""


@dataclass(frozen=True, slots=True)
class _Actor:
    """An actor that moves back and forth between ``low`` and ``high``.

    An actor that turns outside of the picture returns with another identity. ``depth`` is the y of the feet;
    nearer actors are drawn later.
    """

    make: Maker
    depth: float
    start: float
    speed: float
    low: float
    high: float

    def at(self, time_s: float) -> tuple[Person | Thing, int]:
        """Returns the actor at that time, and the number of its lap."""
        gone = self.start + self.speed * time_s
        lap, rest = divmod(gone, self.high - self.low)
        back = int(lap) % 2 == 1
        x = self.high - rest if back else self.low + rest
        leaves = (self.low, self.high) == _OUTSIDE
        return self.make(x, gone, -1 if back else 1), int(lap) if leaves else 0


class Crowd:
    """The clip of ``family`` with number ``seed``."""

    def __init__(self, family: Family, seed: int) -> None:
        random = np.random.default_rng((list(Family).index(family), seed))
        self._ground = Canvas(WIDTH)
        background.draw_any(self._ground, random)
        self._actors = sorted(_CASTS[family](random), key=lambda actor: actor.depth)
        self._shakes = family is Family.SHAKING
        self._rates = random.uniform(0.8, 2.8, (2, 3))
        self._phases = random.uniform(0, 2 * math.pi, (2, 3))

    def frame(self, number: int, width: int = WIDTH) -> tuple[NDArray[np.uint8], list[Truth]]:
        """Draws frame ``number``: uint8 [height, width, 3] RGB. Returns it with its truth, including
        identities.
        """
        time_s = number / FPS
        shift_x, shift_y = self._shift(time_s)
        canvas = Canvas(width)
        matrix = np.array(
            ((canvas.scale, 0, shift_x * canvas.scale), (0, canvas.scale, shift_y * canvas.scale))
        )
        size = (canvas.pixels.shape[1], canvas.pixels.shape[0])
        cv2.warpAffine(self._ground.pixels, matrix, size, canvas.pixels, cv2.INTER_AREA, cv2.BORDER_REFLECT)
        scene = Scene(canvas)
        for index, actor in enumerate(self._actors):
            item, lap = actor.at(time_s)
            item = replace(item, x=item.x + shift_x, y=item.y + shift_y)
            if not -120 < item.x < WIDTH + 120:
                continue
            identity = 1 + index * _LAPS + lap
            if isinstance(item, Person):
                scene.put_person(item, identity)
            else:
                scene.put(item, identity)
        return canvas.pixels, scene.truths()

    def _shift(self, time_s: float) -> tuple[float, float]:
        """Returns the shift of the camera in pixels."""
        if not self._shakes:
            return 0.0, 0.0
        waves = np.sin(2 * math.pi * self._rates * time_s + self._phases).sum(axis=1)
        return float(8.0 * waves[0]), float(5.0 * waves[1])


def _person(look: Look, depth: float, height: float, *, runs: bool = False) -> Maker:
    def make(x: float, gone: float, facing: int) -> Person:
        pose = walking(gone / (0.11 * height), facing * 1.15, 0.8 if runs else 0.45)
        return Person(x, depth, height, pose, look)

    return make


def _colour(random: np.random.Generator) -> Colour:
    red, green, blue = (int(part) for part in random.integers(20, 236, 3))
    return (red, green, blue)


def _anybody(
    random: np.random.Generator,
    speeds: tuple[float, float],
    reach: tuple[float, float],
    *,
    runs: bool = False,
) -> _Actor:
    depth = float(random.uniform(330, 460))
    height = float(random.uniform(0.3, 0.42)) * depth
    make = _person(random_look(random), depth, height, runs=runs)
    low, high = reach
    return _Actor(
        make, depth, float(random.uniform(0, 2 * (high - low))), float(random.uniform(*speeds)), low, high
    )


def _anything(random: np.random.Generator, speeds: tuple[float, float], reach: tuple[float, float]) -> _Actor:
    """Makes an animal or a vehicle."""
    depth, colour = float(random.uniform(330, 460)), _colour(random)
    size = float(random.uniform(0.8, 1.3))
    makers: tuple[Maker, ...] = (
        lambda x, gone, facing: Dog(x, depth, 75 * size, facing, colour, gone / 10),
        lambda x, gone, facing: Bird(x, depth, 55 * size, facing, colour),
        lambda x, gone, facing: Car(x, depth, 150 * size, facing, colour, 0.3),
        lambda x, gone, facing: Bus(x, depth, 200 * size, facing, colour),
    )
    make = makers[random.integers(len(makers))]
    low, high = reach
    return _Actor(
        make, depth, float(random.uniform(0, 2 * (high - low))), float(random.uniform(*speeds)), low, high
    )


def _within(random: np.random.Generator) -> tuple[float, float]:
    """Chooses two places in the picture."""
    low = float(random.uniform(30, WIDTH / 2 - 30))
    return low, low + float(random.uniform(160, WIDTH / 2))


def _crossings(random: np.random.Generator) -> list[_Actor]:
    return [_anybody(random, (40, 110), _OUTSIDE) for _ in range(9)]


def _turns(random: np.random.Generator) -> list[_Actor]:
    return [_anybody(random, (50, 130), _within(random)) for _ in range(7)]


def _occlusions(random: np.random.Generator) -> list[_Actor]:
    actors = [_anybody(random, (40, 110), _OUTSIDE) for _ in range(7)]
    for x in (random.uniform(120, 240), random.uniform(400, 520)):
        colour, length = _colour(random), float(random.uniform(150, 240))
        actors.append(_parked(Bus(float(x), 468, length, 1, colour)))
    return actors


def _parked(item: Person | Thing) -> _Actor:
    return _Actor(lambda x, gone, facing: item, item.y, 0.0, 0.0, 0.0, WIDTH)


def _fast(random: np.random.Generator) -> list[_Actor]:
    people = [_anybody(random, (180, 330), _within(random), runs=True) for _ in range(3)]
    return people + [_anything(random, (250, 520), _OUTSIDE) for _ in range(4)]


def _street(random: np.random.Generator) -> list[_Actor]:
    actors = [_anybody(random, (40, 120), _OUTSIDE) for _ in range(4)]
    actors += [_anything(random, (40, 260), _OUTSIDE) for _ in range(4)]
    actors += [_anything(random, (30, 90), _within(random)) for _ in range(2)]
    x, depth = float(random.uniform(60, WIDTH - 60)), float(random.uniform(350, 460))
    return [*actors, _parked(Person(x, depth, 0.38 * depth, standing(0.2), random_look(random)))]


_CASTS: dict[Family, Callable[[np.random.Generator], list[_Actor]]] = {
    Family.CROSSINGS: _crossings,
    Family.TURNS: _turns,
    Family.OCCLUSIONS: _occlusions,
    Family.FAST: _fast,
    Family.SHAKING: _crossings,
    Family.STREET: _street,
}
