"""Backgrounds: streets, rooms, plain colours, and clutter without a label."""

from __future__ import annotations

from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from rendered_world import barcode
from rendered_world.canvas import HEIGHT, WIDTH, Canvas, Colour, shade


def _colour(random: np.random.Generator, low: int = 0, high: int = 256) -> Colour:
    red, green, blue = (int(part) for part in random.integers(low, high, 3))
    return (red, green, blue)


def draw_any(canvas: Canvas, random: np.random.Generator) -> None:
    """A background of any kind, with clutter."""
    kinds = (_street, _room, _gradient, _texture)
    kinds[random.choice(len(kinds), p=(0.5, 0.28, 0.12, 0.1))](canvas, random)
    for _ in range(random.integers(0, 9)):
        _clutter(canvas, random)
    if random.random() < 0.05:
        _code(canvas, random)


def _street(canvas: Canvas, random: np.random.Generator) -> None:
    horizon = float(random.uniform(150, 330))
    sky, ground = _colour(random, 60), _colour(random, 30, 200)
    _blend(canvas, 0, horizon, shade(sky, random.uniform(0.6, 1.2)), sky)
    _blend(canvas, horizon, HEIGHT, shade(ground, random.uniform(0.7, 1.3)), ground)
    x = float(random.uniform(-60, 0))
    while x < WIDTH and random.random() < 0.95:
        width, top = float(random.uniform(50, 190)), horizon - float(random.uniform(30, 280))
        wall = _colour(random, 30, 230)
        canvas.rectangle(x, top, width, horizon - top, wall)
        lit = shade(wall, random.uniform(0.5, 1.7))
        step = float(random.uniform(20, 40))
        for column in np.arange(x + 8, x + width - 14, step):
            for row in np.arange(top + 10, horizon - 20, step * 1.2):
                if random.random() < 0.7:
                    canvas.rectangle(float(column), float(row), step * 0.5, step * 0.65, lit)
        x += width * float(random.uniform(0.9, 1.3))
    if random.random() < 0.7:
        top = horizon + (HEIGHT - horizon) * float(random.uniform(0.2, 0.7))
        canvas.rectangle(0, top, WIDTH, HEIGHT - top, _colour(random, 40, 120))
        for dash in np.arange(random.uniform(-80, 0), WIDTH, 110):
            canvas.rectangle(float(dash), top + (HEIGHT - top) * 0.5, 50, 5, (215, 215, 205))
    for _ in range(random.integers(0, 4)):
        _tree(canvas, random, horizon)


def _tree(canvas: Canvas, random: np.random.Generator, horizon: float) -> None:
    x, y = float(random.uniform(0, WIDTH)), horizon + float(random.uniform(0, 60))
    size = float(random.uniform(60, 200))
    canvas.limb((x, y), (x, y - size * 0.6), (size * 0.05, size * 0.03), (86, 62, 44))
    leaves = (int(random.integers(30, 120)), int(random.integers(80, 170)), int(random.integers(30, 90)))
    for _ in range(5):
        spot = (x + random.normal(0, size * 0.15), y - size * random.uniform(0.55, 1.0))
        canvas.circle(spot, size * random.uniform(0.12, 0.25), shade(leaves, random.uniform(0.8, 1.2)))


def _room(canvas: Canvas, random: np.random.Generator) -> None:
    floor = float(random.uniform(300, 460))
    wall = _colour(random, 70, 250)
    _blend(canvas, 0, floor, wall, shade(wall, random.uniform(0.7, 1.1)))
    _blend(canvas, floor, HEIGHT, *(2 * (_colour(random, 40, 200),)))
    for _ in range(random.integers(1, 7)):
        x, y = random.uniform(-40, WIDTH - 40), random.uniform(0, floor)
        width, height = random.uniform(40, 220), random.uniform(40, 220)
        frame = _colour(random)
        canvas.rectangle(x, y, width, height, frame)
        if random.random() < 0.7:
            canvas.rectangle(x + 6, y + 6, width - 12, height - 12, shade(frame, random.uniform(0.5, 1.6)))
        if random.random() < 0.4:
            for shelf in np.arange(y + 20, y + height, 34):
                canvas.rectangle(x, float(shelf), width, 4, shade(frame, 0.5))


def _gradient(canvas: Canvas, random: np.random.Generator) -> None:
    _blend(canvas, 0, HEIGHT, _colour(random), _colour(random))


def _texture(canvas: Canvas, random: np.random.Generator) -> None:
    """Draws noise of several scales."""
    rows, columns = canvas.pixels.shape[:2]
    total: NDArray[np.float32] = np.full((rows, columns, 3), _colour(random, 60, 200), np.float32)
    for cells, strength in ((3, 60), (12, 40), (48, 22)):
        noise = random.normal(0, strength * random.random(), (cells * 3 // 4 + 1, cells, 3)).astype(
            np.float32
        )
        total += cv2.resize(noise, (columns, rows), interpolation=cv2.INTER_CUBIC)
    canvas.pixels[:] = total.clip(0, 255).astype(np.uint8)


def _blend(canvas: Canvas, top: float, bottom: float, above: Colour, below: Colour) -> None:
    first, last = round(top * canvas.scale), round(bottom * canvas.scale)
    if last > first:
        share = np.linspace(0, 1, last - first)[:, None, None]
        rows = np.array(above) * (1 - share) + np.array(below) * share
        canvas.pixels[first:last] = rows.clip(0, 255).astype(np.uint8)


def _clutter(canvas: Canvas, random: np.random.Generator) -> None:
    """Draws poles, balls, boxes and blots, which resemble parts of figures but are none."""
    x, y = float(random.uniform(0, WIDTH)), float(random.uniform(0, HEIGHT))
    size, colour = float(random.uniform(8, 110)), _colour(random)
    lean = float(random.normal(0, size))
    kind = random.integers(6)
    if kind == 0:
        canvas.limb((x, y), (x + lean * 0.2, y - size * 2), (size * 0.06, size * 0.06), colour)
    elif kind == 1:
        canvas.circle((x, y), size * 0.4, colour)
    elif kind == 2:
        canvas.rectangle(x, y, size, size * float(random.uniform(0.3, 2)), colour)
    elif kind == 3:
        canvas.limb((x, y), (x + lean, y + float(random.normal(0, size))), (size * 0.1, size * 0.08), colour)
    elif kind == 4:
        canvas.ellipse((x, y), (size, size * 0.4), colour, float(random.uniform(0, 180)))
    else:
        canvas.polygon(random.normal((x, y), size * 0.6, (4, 2)), colour)


def _code(canvas: Canvas, random: np.random.Generator) -> None:
    corner = np.zeros((112, 160), np.uint8)
    barcode.draw(corner, int(random.integers(0, 1 << 40)))
    place = partial(canvas.paste, np.repeat(corner[:, :, None], 3, axis=2))
    place(float(random.choice((0, WIDTH - 160))), float(random.choice((0, HEIGHT - 112))), 160, 112)
