from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed (the extra 'train')")

from network import HEIGHT, WIDTH, Detector, Network, PoseModel  # noqa: E402

PICTURE = torch.zeros(2, 3, HEIGHT, WIDTH)


def test_heads_have_the_layouts_of_v8() -> None:
    network = Network(labels=7).eval()
    assert Detector(network)(PICTURE).shape == (2, 4 + 7, 1680)
    assert PoseModel(network)(PICTURE).shape == (2, 5 + 17 * 3, 1680)


def test_boxes_have_a_size_and_lie_around_their_cells() -> None:
    raw = Network(labels=1).eval()(PICTURE)
    low, high = raw.boxes[:, :2], raw.boxes[:, 2:]
    centres = Network(labels=1).centres
    assert (low < centres).all()
    assert (centres < high).all()


def test_nothing_is_found_before_training() -> None:
    assert Detector(Network(labels=7).eval())(PICTURE)[:, 4:].max() < 0.1
