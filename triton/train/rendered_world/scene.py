"""One scene, and its ground truth."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rendered_world import background, figure
from rendered_world.camera import photograph
from rendered_world.canvas import HEIGHT, WIDTH, Box, Canvas, Colour
from rendered_world.figure import KEYPOINTS
from rendered_world.person import Person, random_look, random_pose
from rendered_world.things import Bird, Bus, Car, CarFront, Dog, Sign, Thing, TrafficLight

HIDDEN, VISIBLE = 1, 2
"""COCO's flags of a keypoint: annotated but hidden, and visible. 0 is not annotated."""

_LEAST_SIDE = 10.0
"""Least side in pixels of an annotated object."""
_LEAST_SEEN = 0.4
"""Least visible share of an annotated object."""
_MOST_COVERED = 0.5
"""Largest share of a box that another may cover, when objects are placed."""
HELD_OUT = 1_000_000
"""Scenes from this number on are not used for training."""

_WORDS = ("OPEN", "EXIT", "CAFE", "TAXI", "STOP", "SALE", "HOTEL", "BANK", "ZOO", "PARK", "LIFT", "SHOP")


@dataclass(frozen=True, slots=True)
class Truth:
    """The truth of one object.

    ``box`` in pixels covers its part inside the picture. ``keypoints`` is [17, 3] for a person, x, y and a
    flag, else ``None``. ``text`` is that of a sign. ``identity`` is constant over the frames of a clip.
    """

    label: str
    box: Box
    keypoints: NDArray[np.float64] | None = None
    text: str = ""
    identity: int = 0


@dataclass(slots=True)
class Scene:
    """A picture being drawn from the back to the front."""

    canvas: Canvas
    _drawn: list[tuple[int, int, Truth]] = field(default_factory=list)
    """The object's number on the canvas, and its number of visible pixels when it was drawn."""

    def put_person(self, person: Person, identity: int = 0) -> None:
        """In front of all that is there."""
        with self.canvas.drawing_object() as (number, extent):
            bones = figure.draw(self.canvas, person)
        points = np.zeros((KEYPOINTS, 3))
        points[:, :2] = bones.points[:, :2]
        inside = ((points[:, :2] >= 0) & (points[:, :2] < (WIDTH, HEIGHT))).all(axis=1)
        points[:, 2] = VISIBLE * (inside & bones.seen)
        points[points[:, 2] == 0] = 0
        self._mark(number, Truth("person", extent.box(), points, identity=identity))

    def put(self, thing: Thing, identity: int = 0) -> None:
        """In front of all that is there."""
        with self.canvas.drawing_object() as (number, extent):
            thing.draw(self.canvas)
        text = thing.text if isinstance(thing, Sign) else ""
        self._mark(number, Truth(thing.label, extent.box(), text=text, identity=identity))

    def _mark(self, number: int, truth: Truth) -> None:
        if min(truth.box[2:]) >= _LEAST_SIDE:
            self._drawn.append((number, int(np.count_nonzero(self.canvas.owners == number)), truth))

    def truths(self) -> list[Truth]:
        """Returns the truth of all objects that are not hidden by others. Call it after drawing."""
        owners, scale = self.canvas.owners, self.canvas.scale
        shown = []
        for number, whole, truth in self._drawn:
            if np.count_nonzero(owners == number) >= _LEAST_SEEN * max(1, whole):
                for point in truth.keypoints if truth.keypoints is not None else ():
                    if point[2] and owners[int(point[1] * scale), int(point[0] * scale)] > number:
                        point[2] = HIDDEN
                shown.append(truth)
        return shown


def still(seed: int, width: int = 320, people: float = 0.5) -> tuple[NDArray[np.uint8], list[Truth]]:
    """Draws scene number ``seed``, ``width`` pixels wide, as seen by a camera. Returns it with its truth.

    ``people`` is the share of persons among the objects.
    """
    random = np.random.default_rng(seed)
    # Cameras and servers make pictures smaller: some are drawn larger than wanted first.
    drawn = width * 2 if random.random() < 0.25 else width
    scene = Scene(Canvas(drawn))
    background.draw_any(scene.canvas, random)
    for item in sorted(_cast(random, people), key=_distance):
        if isinstance(item, Person):
            scene.put_person(item)
        else:
            scene.put(item)
    pixels = scene.canvas.pixels
    if drawn != width:
        pixels = (pixels.reshape(pixels.shape[0] // 2, 2, width, 2, 3).mean(axis=(1, 3)) + 0.5).astype(
            np.uint8
        )
    return photograph(pixels, random), scene.truths()


def _distance(item: Person | Thing) -> float:
    """Returns the drawing order: objects lower in the picture are nearer; hanging objects are behind all."""
    return 0.0 if item.hangs else item.y


def _cast(random: np.random.Generator, people: float) -> list[Person | Thing]:
    """Chooses persons and objects, none of which covers too much of another."""
    chosen: list[Person | Thing] = []
    boxes: list[Box] = []
    wanted = int(random.integers(1, 9)) if random.random() < 0.95 else 0
    close_up = random.random() < 0.2
    for number in range(wanted):
        for _ in range(4):
            item = _close_up(random) if close_up and number == 0 else _anyone_or_anything(random, people)
            box = _rough_box(item)
            if all(
                _covered(box, other) < _MOST_COVERED and _covered(other, box) < _MOST_COVERED
                for other in boxes
            ):
                chosen.append(item)
                boxes.append(box)
                break
    return chosen


def _close_up(random: np.random.Generator) -> Person:
    """Someone before a webcam: the head is in the picture, the feet are not."""
    height = float(random.uniform(500, 1150))
    head = float(random.uniform(60, 200))
    pose = random_pose(random)
    return Person(float(random.uniform(180, 460)), head + height * 0.93, height, pose, random_look(random))


def _anyone_or_anything(random: np.random.Generator, people: float) -> Person | Thing:
    x, y = float(random.uniform(10, WIDTH - 10)), float(random.uniform(200, HEIGHT + 10))
    size = float(math.exp(random.uniform(math.log(0.45), math.log(2.4))))
    facing = 1 if random.random() < 0.5 else -1
    red, green, blue = (int(part) for part in random.integers(0, 256, 3))
    colour: Colour = (red, green, blue)
    if random.random() < people:
        return _any_person(random, x, y)
    makers: tuple[tuple[float, Callable[[], Thing]], ...] = (
        (0.18, lambda: Car(x, y, 150 * size, facing, colour, float(random.random()))),
        (0.14, lambda: CarFront(x, y, 75 * size, colour, bool(random.random() < 0.5))),
        (0.12, lambda: Bus(x, y, 240 * size, facing, colour)),
        (0.16, lambda: _any_dog(random, x, y, 75 * size, facing)),
        (0.12, lambda: Bird(x, y, 45 * size, facing, colour)),
        (0.12, lambda: TrafficLight(x, float(random.uniform(30, 260)), 70 * size, int(random.integers(3)))),
        (0.16, lambda: _any_sign(random, x, 48 * size)),
    )
    chosen = random.choice(len(makers), p=[share for share, _ in makers])
    return makers[chosen][1]()


def _any_person(random: np.random.Generator, x: float, y: float) -> Person:
    tall = float(math.exp(random.uniform(math.log(72), math.log(470))))
    return Person(x, max(y, tall * 0.8), tall, random_pose(random), random_look(random))


def _any_dog(random: np.random.Generator, x: float, y: float, size: float, facing: int) -> Dog:
    brown = (int(random.integers(30, 240)), int(random.integers(25, 200)), int(random.integers(20, 160)))
    return Dog(x, y, size, facing, brown, float(random.uniform(0, 2 * math.pi)))


def _any_sign(random: np.random.Generator, x: float, size: float) -> Sign:
    dark = bool(random.random() < 0.5)
    red, green, blue = (int(part) for part in random.integers(0, 110, 3) + (0 if dark else 145))
    text = str(random.choice(_WORDS)) + (f" {random.integers(100)}" if random.random() < 0.4 else "")
    place = float(random.uniform(30, 330))
    return Sign(x, place, size, text, (red, green, blue), (250, 250, 245) if dark else (20, 20, 30))


def _rough_box(item: Person | Thing) -> Box:
    """Estimates an object's box without drawing it."""
    width, height = item.reach
    top = item.y - (height / 2 if item.hangs else height)
    return (item.x - width / 2, top, width, height)


def _covered(box: Box, by: Box) -> float:
    """Share of ``box`` that ``by`` covers."""
    width = min(box[0] + box[2], by[0] + by[2]) - max(box[0], by[0])
    height = min(box[1] + box[3], by[1] + by[3]) - max(box[1], by[1])
    return max(0.0, width) * max(0.0, height) / (box[2] * box[3])


def marks_on(picture: NDArray[np.uint8], truths: Sequence[Truth]) -> NDArray[np.uint8]:
    """Returns a copy of the picture with the truth drawn on it."""
    canvas = Canvas(picture.shape[1])
    canvas.pixels = picture.copy()
    for truth in truths:
        x, y, width, height = truth.box
        for start, end in (((x, y), (x + width, y)), ((x + width, y), (x + width, y + height))):
            canvas.limb(start, end, (0.8, 0.8), (255, 230, 0))
        for start, end in (((x + width, y + height), (x, y + height)), ((x, y + height), (x, y))):
            canvas.limb(start, end, (0.8, 0.8), (255, 230, 0))
        for px, py, flag in truth.keypoints if truth.keypoints is not None else ():
            if flag:
                canvas.circle((px, py), 2.5, (0, 255, 0) if flag == VISIBLE else (255, 0, 0))
    return canvas.pixels
