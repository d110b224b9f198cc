from __future__ import annotations

import pytest

from rendered_world.canvas import WIDTH, Canvas
from rendered_world.things import LABELS, Bird, Bus, Car, CarFront, Dog, Sign, Thing, TrafficLight

THINGS = (
    Car(300, 300, 180, 1, (200, 30, 30), 0.5),
    CarFront(300, 300, 120, (30, 90, 200), True),
    Bus(300, 300, 260, 1, (220, 170, 40)),
    Dog(300, 300, 90, 1, (150, 90, 50), 0.4),
    Bird(300, 300, 60, 1, (90, 90, 120)),
    TrafficLight(300, 200, 90, 1),
    Sign(300, 200, 60, "EXIT 7", (0, 40, 120), (255, 255, 255)),
)


@pytest.mark.parametrize("thing", THINGS, ids=lambda thing: type(thing).__name__)
def test_things_are_drawn_where_they_stand(thing: Thing) -> None:
    canvas = Canvas(WIDTH)
    with canvas.drawing_object() as (_, extent):
        thing.draw(canvas)
    x, y, width, height = extent.box()
    assert x + width / 2 == pytest.approx(300, abs=0.2 * width)
    stands = not isinstance(thing, Sign | TrafficLight)
    assert (y + height if stands else y + height / 2) == pytest.approx(300 if stands else 200, abs=6)
    assert thing.label in LABELS
