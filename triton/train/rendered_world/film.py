"""The sample clip: twenty seconds of a street, with the truth of each frame.

A frame is a pure function of time. So any frame can be drawn, and its truth given, by its number alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rendered_world.canvas import HEIGHT, WIDTH, Canvas, shade
from rendered_world.person import Look, Person, Pose, standing, walking, waving
from rendered_world.scene import Scene, Truth
from rendered_world.things import Bird, Bus, Car, Dog, Sign, Thing, TrafficLight

FPS = 30
SECONDS = 20
FRAMES = FPS * SECONDS

_PAVEMENT, _ROAD = 268.0, 396.0
"""y of the upper edges in pixels."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A sign that is visible from ``start`` to ``end``, in seconds."""

    start: float
    end: float
    text: str


SIGNS = (
    Shown(0.8, 4.4, "OPEN"),
    Shown(5.8, 9.4, "CAFE 24"),
    Shown(10.8, 14.4, "EXIT 7"),
    Shown(15.8, 19.6, "HOTEL"),
)

_ADA = Look(
    skin=(198, 134, 88),
    hair=(40, 28, 22),
    shirt=(232, 96, 66),
    trousers=(52, 60, 92),
    shoes=(240, 240, 236),
    long_sleeves=False,
    long_hair=True,
)
_BEN = Look(
    skin=(241, 194, 152), hair=(110, 72, 40), shirt=(70, 132, 178), trousers=(70, 66, 62), shoes=(40, 36, 34)
)
_EVE = Look(
    skin=(141, 85, 52),
    hair=(30, 24, 20),
    shirt=(238, 202, 84),
    trousers=(112, 62, 112),
    shoes=(60, 40, 50),
    skirt=True,
)
_TOM = Look(
    skin=(255, 224, 196),
    hair=(190, 150, 90),
    shirt=(92, 158, 104),
    trousers=(60, 74, 110),
    shoes=(226, 222, 214),
    stripes=True,
    short_trousers=True,
)


def frame(number: int, width: int = WIDTH) -> tuple[NDArray[np.uint8], list[Truth]]:
    """Draws frame ``number``, 0 to ``FRAMES`` - 1: uint8 [height, width, 3] RGB. Also returns its truth."""
    canvas = Canvas(width)
    _draw_street(canvas)
    scene = Scene(canvas)
    for item in cast(number / FPS):
        if isinstance(item, Person):
            scene.put_person(item)
        else:
            scene.put(item)
    return canvas.pixels, scene.truths()


def truth(number: int) -> list[Truth]:
    """Returns the truth of frame ``number``, faster than drawing it in full size."""
    return frame(number, WIDTH // 4)[1]


def cast(time_s: float) -> list[Person | Thing]:
    """Returns the persons and objects at that time, from the back to the front."""
    there: list[Person | Thing] = [TrafficLight(596, 150, 76, int(time_s / 5) % 3)]
    there += [
        Sign(330, 150, 62, shown.text, (24, 62, 120), (250, 250, 245))
        for shown in SIGNS
        if shown.start <= time_s < shown.end
    ]
    there.append(Bird(214 + 3 * math.sin(time_s), 322, 34, 1, (96, 104, 122)))
    there.append(_walker(time_s, _EVE, begins=-1.0, pixels_a_second=52, y=330, height=118, facing=1))
    there.append(_walker(time_s, _BEN, begins=3.0, pixels_a_second=-46, y=350, height=138, facing=-1))
    there.append(_walker(time_s, _TOM, begins=8.5, pixels_a_second=58, y=364, height=128, facing=1))
    dog_x = _place(time_s, begins=8.5, pixels_a_second=58) - 62
    there.append(Dog(dog_x, 368, 52, 1, (150, 98, 60), dog_x / 7))
    there.append(Car(_place(time_s, 4.6, -560), 418, 200, -1, (188, 44, 52), 0.2))
    there.append(Bus(_place(time_s, 9.4, 620), 424, 300, 1, (226, 172, 52)))
    there.append(Car(_place(time_s, 14.5, -560), 418, 190, -1, (64, 92, 148), 0.9))
    there.append(Person(118, 462, 330, _greeting(time_s), _ADA))
    return [item for item in there if -160 < item.x < WIDTH + 160]


def _place(time_s: float, begins: float, pixels_a_second: float) -> float:
    """Returns x of an object that enters at the left, or at the right if its speed is negative."""
    gone = (time_s - begins) * pixels_a_second
    return (WIDTH + 150 if pixels_a_second < 0 else -150) + gone


def _walker(
    time_s: float, look: Look, *, begins: float, pixels_a_second: float, y: float, height: float, facing: int
) -> Person:
    x = _place(time_s, begins, pixels_a_second)
    # Two steps a cycle, each as long as the legs open: the feet do not slide.
    phase = x / (0.11 * height)
    return Person(x, y, height, walking(phase, facing * 1.15, 0.45), look)


def _greeting(time_s: float) -> Pose:
    """Returns the pose of a person who looks around, and waves for two of every five seconds."""
    turning = 0.35 * math.sin(time_s * 0.7)
    if time_s % 5 < 2:
        return waving(2 * math.pi * 1.2 * time_s, turning)
    return standing(turning)


def _draw_street(canvas: Canvas) -> None:
    rows = canvas.pixels.shape[0]
    share = np.linspace(0, 1, rows)[:, None, None]
    sky = np.array((118, 170, 214)) * (1 - share) + np.array((244, 226, 198)) * share
    canvas.pixels[:] = sky.astype(np.uint8)
    houses = ((0, 128, 60, (172, 120, 104)), (128, 96, 104, (206, 184, 152)), (224, 212, 36, (128, 132, 144)))
    for x, width, top, wall in (*houses, (436, 110, 84, (190, 150, 112)), (546, 94, 122, (150, 108, 116))):
        canvas.rectangle(x, top, width, _PAVEMENT - top, wall)
        canvas.rectangle(x, top, width, 6, shade(wall, 0.75))
        for column in range(int(x) + 12, int(x + width) - 20, 32):
            for row in range(top + 18, int(_PAVEMENT) - 76, 40):
                if not (224 <= x < 436 and row < 210):
                    canvas.rectangle(column, row, 18, 24, shade(wall, 0.55))
        canvas.rectangle(x + width * 0.3, _PAVEMENT - 52, width * 0.24, 52, shade(wall, 0.4))
    canvas.rectangle(0, _PAVEMENT, WIDTH, _ROAD - _PAVEMENT, (178, 172, 164))
    for slab in range(0, WIDTH, 64):
        canvas.rectangle(slab, _PAVEMENT, 2, _ROAD - _PAVEMENT, (160, 154, 148))
    canvas.rectangle(0, _ROAD - 8, WIDTH, 8, (204, 200, 194))
    canvas.rectangle(0, _ROAD, WIDTH, HEIGHT - _ROAD, (82, 82, 92))
    for dash in range(10, WIDTH, 110):
        canvas.rectangle(dash, _ROAD + 46, 54, 5, (220, 218, 206))
    canvas.rectangle(592, 186, 8, _ROAD - 186, (60, 62, 66))
