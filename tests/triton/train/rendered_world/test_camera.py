from __future__ import annotations

import numpy as np

from rendered_world.camera import photograph
from rendered_world.scene import still


def test_a_photograph_is_worse_than_the_picture_but_still_of_it() -> None:
    picture, _ = still(5)
    for seed in range(20):
        shown = photograph(picture, np.random.default_rng(seed))
        assert (shown.shape, shown.dtype) == (picture.shape, np.uint8)
        assert not np.array_equal(shown, picture)
        assert np.corrcoef(shown.ravel(), picture.ravel())[0, 1] > 0.8
