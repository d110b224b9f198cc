"""A small network that finds objects and the joints of people; two models are exported from it.

The input is float32 [n, 3, 256, 320] RGB in 0..1. It is the 320×240 frame with eight rows of padding above
and below. Strides, anchors and outputs are those of Ultralytics' v8 heads: [n, 4 + labels, 1680], and [n, 56,
1680] for poses. Boxes are x, y, width, height in pixels of the input; scores are in 0..1. Keypoints are x, y
and the probability of being visible.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

WIDTH, HEIGHT = 320, 256
STRIDES = (8, 16, 32)
KEYPOINTS = 17


class _Conv(nn.Sequential):
    def __init__(self, inputs: int, outputs: int, size: int = 3, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, size, stride, (size - stride + 1) // 2, bias=False),
            nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.03),
            nn.ReLU(inplace=True),
        )


class _Block(nn.Module):
    """A residual bottleneck (He et al., 2015) of two 3×3 convolutions."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(_Conv(width, width // 2), _Conv(width // 2, width))

    def forward(self, value: Tensor) -> Tensor:
        return value + self.inner(value)


class _Pooling(nn.Module):
    """Spatial pyramid pooling in sequence, as in YOLOv5, so the deepest cells cover the whole picture."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.narrow, self.wide = _Conv(width, width // 2, 1), _Conv(width * 2, width, 1)
        self.pool = nn.MaxPool2d(5, 1, 2)

    def forward(self, value: Tensor) -> Tensor:
        once = self.narrow(value)
        twice = self.pool(once)
        thrice = self.pool(twice)
        return self.wide(torch.cat((once, twice, thrice, self.pool(thrice)), 1))


@dataclass(frozen=True)
class Raw:
    """Raw outputs of the heads for the 1680 cells.

    ``scores`` are logits [n, labels, 1680]. ``boxes`` are corners [n, 4, 1680] in pixels. ``keypoints`` are
    [n, 17, 3, 1680]: x, y in pixels, and the logit of being visible. ``similarity`` are logits [n, 1680] of
    the expected fit of the keypoints (COCO's OKS).
    """

    scores: Tensor
    boxes: Tensor
    keypoints: Tensor
    similarity: Tensor


class Network(nn.Module):
    """The network for ``labels`` labels, of which only the first has keypoints."""

    def __init__(self, labels: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(_Conv(3, 24, 6, 4), _Block(24))
        self.stages = nn.ModuleList(
            (
                nn.Sequential(_Conv(24, 48, 3, 2), _Block(48), _Block(48)),
                nn.Sequential(_Conv(48, 88, 3, 2), _Block(88), _Block(88)),
                nn.Sequential(_Conv(88, 112, 3, 2), _Block(112), _Pooling(112)),
            )
        )
        neck = 64
        self.lateral = nn.ModuleList(_Conv(width, neck, 1) for width in (48, 88, 112))
        self.smooth = nn.ModuleList(_Conv(neck, neck) for _ in STRIDES)
        self.box_heads = nn.ModuleList(nn.Sequential(_Conv(neck, 32), nn.Conv2d(32, 4, 1)) for _ in STRIDES)
        self.score_heads = nn.ModuleList(
            nn.Sequential(_Conv(neck, 32), nn.Conv2d(32, labels, 1)) for _ in STRIDES
        )
        self.keypoint_heads = nn.ModuleList(
            nn.Sequential(_Conv(neck, 64), _Conv(64, 64), nn.Conv2d(64, 3 * KEYPOINTS + 1, 1))
            for _ in STRIDES
        )
        for head in self.score_heads:
            nn.init.constant_(head[-1].bias, -4.6)  # Lin et al., 2017: rare objects, a prior of 0.01
        centres, strides = _cells()
        self.register_buffer("centres", centres)
        self.register_buffer("strides", strides)

    def forward(self, pictures: Tensor) -> Raw:
        """Returns the raw heads of each picture."""
        features, value = [], self.stem(pictures)
        for stage in self.stages:
            value = stage(value)
            features.append(value)
        above: Tensor | None = None
        levels: list[Tensor] = []
        for feature, lateral, smooth in zip(
            reversed(features), reversed(self.lateral), reversed(self.smooth), strict=True
        ):
            value = lateral(feature)
            if above is not None:
                value = value + nn.functional.interpolate(above, scale_factor=2.0, mode="nearest")
            above = value
            levels.insert(0, smooth(value))
        distances = _joined(self.box_heads, levels).clamp(-6, 4.5).exp() * self.strides
        boxes = torch.cat((self.centres - distances[:, :2], self.centres + distances[:, 2:]), 1)
        people = _joined(self.keypoint_heads, levels)
        points = people[:, :-1].unflatten(1, (KEYPOINTS, 3))
        places = points[:, :, :2] * (2 * self.strides) + self.centres
        keypoints = torch.cat((places, points[:, :, 2:]), 2)
        return Raw(_joined(self.score_heads, levels), boxes, keypoints, people[:, -1])


def _joined(heads: nn.ModuleList, levels: list[Tensor]) -> Tensor:
    """Joins the heads' outputs as float32, as pixels need its precision even if convolutions run in half."""
    return torch.cat([head(level).flatten(2).float() for head, level in zip(heads, levels, strict=True)], 2)


def _cells() -> tuple[Tensor, Tensor]:
    """Returns the centres of the cells [2, 1680] and their strides [1, 1680], in pixels."""
    centres, strides = [], []
    for stride in STRIDES:
        rows, columns = torch.meshgrid(
            torch.arange(HEIGHT // stride), torch.arange(WIDTH // stride), indexing="ij"
        )
        centres.append((torch.stack((columns, rows)).flatten(1) + 0.5) * stride)
        strides.append(torch.full((1, rows.numel()), float(stride)))
    return torch.cat(centres, 1), torch.cat(strides, 1)


class Detector(nn.Module):
    """The network as a v8 detection model."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Returns the detection head [n, 4 + labels, 1680]."""
        raw = self.network(images)
        return torch.cat((_centred(raw.boxes), raw.scores.sigmoid()), 1)


class PoseModel(nn.Module):
    """The network as a v8 pose model.

    A person's score is the geometric mean of the class score and the expected fit of the keypoints.
    """

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Returns the pose head [n, 56, 1680]."""
        raw = self.network(images)
        points = torch.cat((raw.keypoints[:, :, :2], raw.keypoints[:, :, 2:].sigmoid()), 2)
        score = (raw.scores[:, :1].sigmoid() * raw.similarity[:, None].sigmoid()).sqrt()
        return torch.cat((_centred(raw.boxes), score, points.flatten(1, 2)), 1)


def _centred(boxes: Tensor) -> Tensor:
    low, high = boxes[:, :2], boxes[:, 2:]
    return torch.cat(((low + high) / 2, high - low), 1)
