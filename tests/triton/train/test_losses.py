from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed (the extra 'train')")

from losses import Targets, loss  # noqa: E402
from network import KEYPOINTS, Network, Raw  # noqa: E402

NETWORK = Network(labels=3)
BOX = torch.tensor([80.0, 64.0, 144.0, 128.0])
JOINTS = torch.stack(
    (torch.linspace(85, 140, KEYPOINTS), torch.linspace(70, 120, KEYPOINTS), torch.full((KEYPOINTS,), 2.0)), 1
)


def targets(count: int = 1, keypoints: bool = True) -> Targets:
    """One picture with ``count`` times the same person, and room for four."""
    boxes, labels = torch.zeros(1, 4, 4), torch.zeros(1, 4, dtype=torch.int64)
    joints, real = torch.zeros(1, 4, KEYPOINTS, 3), torch.zeros(1, 4, dtype=torch.bool)
    boxes[0, :count], real[0, :count] = BOX, True
    if keypoints:
        joints[0, :count] = JOINTS
    return Targets(boxes, labels, real, joints)


def answer(
    box: torch.Tensor = BOX, joints: torch.Tensor = JOINTS, score: float = 6.0, similarity: float = 6.0
) -> Raw:
    """Every cell inside the box says that, every other cell that there is nothing."""
    centres = NETWORK.centres
    inside = ((BOX[:2] < centres.T) & (BOX[2:] > centres.T)).all(1)
    scores = torch.full((1, 3, centres.shape[1]), -12.0)
    scores[0, 0, inside] = score
    boxes = box[None, :, None].expand(1, 4, centres.shape[1])
    keypoints = joints.clone()
    keypoints[:, 2] = 9.0
    keypoints = keypoints[None, ..., None].expand(1, KEYPOINTS, 3, centres.shape[1])
    return Raw(scores, boxes, keypoints, torch.full((1, centres.shape[1]), similarity))


def test_a_right_answer_costs_next_to_nothing_where_it_is_asked_for() -> None:
    parts = loss(answer(), targets(), NETWORK)
    assert parts["boxes"] < 0.01
    assert parts["keypoints"] < 0.01
    assert parts["visible"] < 0.01
    assert parts["similarity"] < 0.01


def test_a_box_that_is_off_costs_more_the_farther_it_is() -> None:
    near, far = (loss(answer(BOX + shift), targets(), NETWORK)["boxes"] for shift in (4.0, 16.0))
    assert 0.1 < near < far


def test_a_joint_that_is_off_costs_more_the_farther_it_is() -> None:
    shift = torch.tensor([1.0, 0.0, 0.0])
    near, far = (loss(answer(joints=JOINTS + shift * by), targets(), NETWORK)["keypoints"] for by in (3, 12))
    assert 0.1 < near < far


def test_similarity_is_to_tell_how_well_the_joints_fit() -> None:
    shift = torch.tensor([30.0, 0.0, 0.0])
    for joints, honest, dishonest in ((JOINTS, 6.0, -6.0), (JOINTS + shift, -6.0, 6.0)):
        costs = [
            loss(answer(joints=joints, similarity=said), targets(), NETWORK)["similarity"]
            for said in (honest, dishonest)
        ]
        assert costs[0] < 0.1 < costs[1]


def test_what_has_no_joints_is_not_asked_for_them() -> None:
    parts = loss(answer(joints=JOINTS + 50), targets(keypoints=False), NETWORK)
    assert parts["keypoints"] == 0


def test_a_picture_without_objects_asks_for_silence() -> None:
    silent, loud = (loss(answer(score=score), targets(count=0), NETWORK)["scores"] for score in (-12.0, 6.0))
    assert silent < 0.1 < loud


def test_a_network_can_learn_from_it() -> None:
    torch.manual_seed(0)
    network = Network(labels=3)
    picture = torch.rand(1, 3, 256, 320)
    costs = []
    for _ in range(6):
        cost = torch.stack(list(loss(network(picture), targets(), network).values())).sum()
        network.zero_grad()
        cost.backward()
        with torch.no_grad():
            for value in network.parameters():
                value.sub_(0.05 * value.grad / (value.grad.norm() + 1e-3))
        costs.append(cost.item())
    assert costs[-1] < 0.7 * costs[0]
