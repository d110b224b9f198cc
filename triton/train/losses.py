"""The loss functions of the training.

Cells are matched to objects by task alignment (Feng et al., "TOOD", 2021). The cells with the best product of
score and box are assigned to an object. Their target score is the quality of their box.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, one_hot, smooth_l1_loss

from network import Network, Raw

SIGMAS = (
    *(0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072),
    *(0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089),
)
"""COCO's tolerances of the keypoints: how precisely people annotate each."""

_CELLS_AN_OBJECT = 10


@dataclass(frozen=True)
class Targets:
    """The truth of n pictures with m objects at most, padded.

    ``boxes`` is [n, m, 4]: corners in pixels. ``labels`` and ``real`` are [n, m]. ``keypoints`` is [n, m, 17,
    3] with COCO's flags, all 0 for objects without keypoints.
    """

    boxes: Tensor
    labels: Tensor
    real: Tensor
    keypoints: Tensor


def loss(raw: Raw, targets: Targets, network: Network) -> dict[str, Tensor]:
    """Returns the weighted parts of the loss, whose sum is minimised."""
    owner, goal = _assign(raw, targets, network.centres)
    chosen = goal > 0
    batch, cell = chosen.nonzero(as_tuple=True)
    thing = owner[batch, cell]
    labels = raw.scores.shape[1]
    wanted = one_hot(targets.labels.gather(1, owner), labels) * goal[..., None]
    scores = binary_cross_entropy_with_logits(raw.scores.transpose(1, 2), wanted, reduction="sum")
    weight = goal[batch, cell]
    total = weight.sum().clamp(min=1)
    parts = {"scores": scores / total}
    overlap = _generous_iou(raw.boxes[batch, :, cell], targets.boxes[batch, thing])
    parts["boxes"] = 4.0 * ((1 - overlap) * weight).sum() / total
    points = targets.keypoints[batch, thing]
    marked = points[..., 2] > 0
    person = marked.any(1)
    found, points, marked = raw.keypoints[batch, :, :, cell][person], points[person], marked[person]
    fits = raw.similarity[batch, cell][person]
    size = targets.boxes[batch, thing][person]
    area = ((size[:, 2] - size[:, 0]) * (size[:, 3] - size[:, 1])).clamp(min=16)[:, None]
    weight, share = weight[person], marked / marked.sum(1, keepdim=True).clamp(min=1)
    squares = (found[..., :2] - points[..., :2]).square().sum(-1)
    spread = 2 * (2 * torch.tensor(SIGMAS)).square() * area * 0.53
    near = (-squares / spread).exp()
    far = smooth_l1_loss(
        found[..., :2] / area.sqrt()[..., None],
        points[..., :2] / area.sqrt()[..., None],
        beta=0.1,
        reduction="none",
    ).sum(-1)
    parts["keypoints"] = ((6.0 * (1 - near) + 4.0 * far) * share * weight[:, None]).sum() / total
    visible = binary_cross_entropy_with_logits(found[..., 2], (points[..., 2] == 2).float(), reduction="none")
    parts["visible"] = 0.5 * (visible.mean(1) * weight).sum() / total
    similarity = (near.detach() * share).sum(1)
    fit = binary_cross_entropy_with_logits(fits, similarity, reduction="none")
    parts["similarity"] = (fit * weight).sum() / total
    return parts


@torch.no_grad()
def _assign(raw: Raw, targets: Targets, centres: Tensor) -> tuple[Tensor, Tensor]:
    """Assigns objects to cells. Returns the object's index and the target score of each cell, [n, cells].

    The target score is 0 for a cell without an object.
    """
    inside = ((centres[None, None] - targets.boxes[:, :, :2, None]).amin(2) > 0) & (
        (targets.boxes[:, :, 2:, None] - centres[None, None]).amin(2) > 0
    )
    inside &= targets.real[..., None]
    overlap = _iou(targets.boxes[:, :, None], raw.boxes.transpose(1, 2)[:, None]) * inside
    index = targets.labels[:, :, None].expand(-1, -1, raw.scores.shape[2])
    score = raw.scores.sigmoid().gather(1, index)
    # A small constant, as at first no box overlaps, and the nearest cells should still learn.
    alignment = (score.sqrt() * (overlap + 0.05).pow(6)) * inside
    best = alignment.topk(_CELLS_AN_OBJECT, dim=2)
    taken = torch.zeros_like(alignment).scatter_(2, best.indices, (best.values > 0).float())
    alignment = alignment * taken
    # A cell that two objects claim goes to the object that it fits better.
    value, owner = (alignment * (overlap + 1e-3)).max(1)
    mine = one_hot(owner, targets.boxes.shape[1]).transpose(1, 2) * (value > 0)[:, None] * taken
    alignment, overlap = alignment * mine, overlap * mine
    strength = (
        alignment
        / alignment.amax(2, keepdim=True).clamp(min=1e-12)
        * overlap.amax(2, keepdim=True).clamp(min=0.1)
    )
    return owner, (strength * mine).amax(1)


def _iou(one: Tensor, other: Tensor) -> Tensor:
    """Returns the intersection over union of boxes as corners [..., 4]."""
    low = torch.maximum(one[..., :2], other[..., :2])
    high = torch.minimum(one[..., 2:], other[..., 2:])
    shared = (high - low).clamp(min=0).prod(-1)
    areas = [(box[..., 2:] - box[..., :2]).prod(-1) for box in (one, other)]
    return shared / (areas[0] + areas[1] - shared + 1e-6)


def _generous_iou(one: Tensor, other: Tensor) -> Tensor:
    """Returns the GIoU, which has a gradient also without overlap.

    Source: Rezatofighi et al., "Generalized Intersection over Union", 2019.
    """
    low = torch.maximum(one[..., :2], other[..., :2])
    high = torch.minimum(one[..., 2:], other[..., 2:])
    shared = (high - low).clamp(min=0).prod(-1)
    areas = [(box[..., 2:] - box[..., :2]).prod(-1) for box in (one, other)]
    union = areas[0] + areas[1] - shared + 1e-6
    hull_low = torch.minimum(one[..., :2], other[..., :2])
    hull_high = torch.maximum(one[..., 2:], other[..., 2:])
    hull = (hull_high - hull_low).prod(-1) + 1e-6
    return shared / union - (hull - union) / hull
