from __future__ import annotations

import numpy as np

from rendered_world import background
from rendered_world.canvas import Canvas


def test_backgrounds_differ_and_own_nothing() -> None:
    seen = set()
    for seed in range(30):
        canvas = Canvas(320)
        background.draw_any(canvas, np.random.default_rng(seed))
        assert not canvas.owners.any()
        seen.add(canvas.pixels.tobytes())
    assert len(seen) == 30
