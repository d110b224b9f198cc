"""``python triton/train/train.py``: the built-in models, from nothing, in half an hour on two processors.

Renders scenes, trains the network on them, and writes ``detect.onnx`` and ``pose.onnx``. Needs the extra
``train``. A seed gives the same scenes and the same start; sums in threads differ in their last digits.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import time
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn, track

from export import export
from losses import Targets, loss
from network import HEIGHT, WIDTH, Network
from rendered_world.canvas import WIDTH as DRAWN_WIDTH
from rendered_world.figure import FLIPPED, KEYPOINTS
from rendered_world.scene import Truth, still
from rendered_world.things import LABELS

_MOST_OBJECTS = 10
_PEOPLE = 0.75
"""Share of scenes with people. Their keypoints take longest to learn."""
_SCALE = 320 / DRAWN_WIDTH
_TOP = (HEIGHT - 240) // 2
_PADDING = 114


@dataclass(frozen=True)
class Scenes:
    """n scenes: ``pictures`` uint8 [n, 240, 320, 3], and `losses.Targets` in pixels of the frame."""

    pictures: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    real: NDArray[np.bool_]
    keypoints: NDArray[np.float32]


def _marks(truths: list[Truth]) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]:
    boxes = np.zeros((_MOST_OBJECTS, 4), np.float32)
    labels = np.full(_MOST_OBJECTS, -1, np.int64)
    keypoints = np.zeros((_MOST_OBJECTS, KEYPOINTS, 3), np.float32)
    for number, truth in enumerate(truths[:_MOST_OBJECTS]):
        x, y, width, height = truth.box
        boxes[number] = np.array((x, y, x + width, y + height)) * _SCALE
        labels[number] = LABELS.index(truth.label)
        if truth.keypoints is not None:
            keypoints[number] = truth.keypoints * (_SCALE, _SCALE, 1)
    return boxes, labels, keypoints


def _scene(
    seed: int,
) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.int64], NDArray[np.float32]]:
    picture, truths = still(seed, people=_PEOPLE)
    return (picture, *_marks(truths))


def render(count: int, first: int, processes: int) -> Scenes:
    """Renders ``count`` scenes from number ``first`` on."""
    pictures = np.zeros((count, 240, 320, 3), np.uint8)
    boxes = np.zeros((count, _MOST_OBJECTS, 4), np.float32)
    labels = np.zeros((count, _MOST_OBJECTS), np.int64)
    keypoints = np.zeros((count, _MOST_OBJECTS, KEYPOINTS, 3), np.float32)
    with multiprocessing.Pool(processes) as pool:
        scenes = pool.imap(_scene, range(first, first + count), chunksize=32)
        for number, scene in enumerate(track(scenes, "rendering", total=count)):
            pictures[number], boxes[number], labels[number], keypoints[number] = scene
    return Scenes(pictures, boxes, labels.clip(min=0), labels >= 0, keypoints)


def batches(
    scenes: Scenes, size: int, epochs: int, random: np.random.Generator
) -> Iterator[tuple[torch.Tensor, Targets]]:
    """Yields batches in random order. Half of the scenes are mirrored, and all vary in brightness."""
    for _ in range(epochs):
        order = random.permutation(len(scenes.pictures))
        for start in range(0, len(order) - size + 1, size):
            yield _batch(scenes, order[start : start + size], random)


def _batch(
    scenes: Scenes, chosen: NDArray[np.int64], random: np.random.Generator
) -> tuple[torch.Tensor, Targets]:
    pictures, boxes, keypoints = scenes.pictures[chosen], scenes.boxes[chosen], scenes.keypoints[chosen]
    for index in np.flatnonzero(random.random(len(chosen)) < 0.5):
        pictures[index] = pictures[index, :, ::-1]
        boxes[index, :, [0, 2]] = WIDTH - boxes[index, :, [2, 0]]
        keypoints[index, :, :, 0] = (WIDTH - keypoints[index, :, :, 0]) * (keypoints[index, :, :, 2] > 0)
        keypoints[index] = keypoints[index][:, FLIPPED]
    boxes[..., [1, 3]] += _TOP
    keypoints[..., 1] += _TOP * (keypoints[..., 2] > 0)
    light = random.uniform(0.8, 1.2, (len(chosen), 1, 1, 3)).astype(np.float32)
    tensor = network_input(pictures, light)
    return tensor, Targets(
        torch.from_numpy(boxes),
        torch.from_numpy(scenes.labels[chosen]),
        torch.from_numpy(scenes.real[chosen]),
        torch.from_numpy(keypoints),
    )


def network_input(pictures: NDArray[np.uint8], light: NDArray[np.float32] | float = 1.0) -> torch.Tensor:
    """Converts frames, uint8 [n, 240, 320, 3] RGB, to the input of `network.Network`."""
    canvas = np.full((len(pictures), HEIGHT, WIDTH, 3), _PADDING / 255, np.float32)
    canvas[:, _TOP : _TOP + 240] = (pictures.astype(np.float32) * light / 255).clip(0, 1)
    return torch.from_numpy(canvas).permute(0, 3, 1, 2)


def train(scenes: Scenes, *, epochs: int, batch: int, seed: int, console: Console) -> Network:
    """Trains the network. Returns the average of its last weights (Polyak averaging)."""
    torch.manual_seed(seed)
    network = Network(len(LABELS)).to(memory_format=torch.channels_last)
    averaged = deepcopy(network)
    steps = epochs * (len(scenes.pictures) // batch)
    decayed = [value for value in network.parameters() if value.ndim > 1]
    rest = [value for value in network.parameters() if value.ndim == 1]
    optimiser = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.02}, {"params": rest, "weight_decay": 0.0}], lr=_PEAK_RATE
    )
    rates = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, steps))
    columns = (
        TextColumn("training"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[words]}"),
    )
    # Half the digits in convolutions take two thirds of the time, where the processor has them.
    halved = bool(torch.cpu.get_capabilities().get("avx512_bf16"))
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("training", total=steps, words="")
        mean: dict[str, float] = {}
        for step, (pictures, targets) in enumerate(
            batches(scenes, batch, epochs, np.random.default_rng(seed))
        ):
            with torch.autocast("cpu", torch.bfloat16, enabled=halved):
                raw = network(pictures)
            parts = loss(raw, targets, network)
            if step >= _JOINTS_FROM * steps:
                parts["keypoints"] = _JOINTS_WEIGHT * parts["keypoints"]
            optimiser.zero_grad()
            torch.stack(list(parts.values())).sum().backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 10.0)
            optimiser.step()
            rates.step()
            _follow(averaged, network, min(0.998, (1 + step) / (10 + step)))
            for name, part in parts.items():
                mean[name] = 0.98 * mean.get(name, part.item()) + 0.02 * part.item()
            words = ", ".join(f"{name} {value:.3f}" for name, value in mean.items())
            progress.update(task, advance=1, words=words)
            if step % 250 == 249:
                console.log(f"step {step + 1} of {steps}: {words}")
    return averaged.eval()


_PEAK_RATE = 2e-3
_JOINTS_FROM, _JOINTS_WEIGHT = 0.25, 2.5
"""Share of the steps after which the keypoints' loss gets more weight, and that weight.

A person must be found before keypoints can be learnt.
"""


def _rate(step: int, steps: int) -> float:
    """Returns the learning rate: a linear rise, then a cosine decay."""
    start = min(200, steps // 10)
    if step < start:
        return (step + 1) / start
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (step - start) / max(1, steps - start)))


@torch.no_grad()
def _follow(averaged: Network, network: Network, keep: float) -> None:
    for ours, theirs in zip(averaged.state_dict().values(), network.state_dict().values(), strict=True):
        if ours.dtype.is_floating_point:
            ours.lerp_(theirs, 1 - keep)
        else:
            ours.copy_(theirs)


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description="Trains the built-in models on rendered scenes.")
    parser.add_argument(
        "--to", type=Path, default=Path("inference/builtin"), help="folder; default: %(default)s"
    )
    parser.add_argument("--scenes", type=int, default=24_000, help="default: %(default)s")
    parser.add_argument("--epochs", type=int, default=9, help="default: %(default)s")
    parser.add_argument("--batch", type=int, default=16, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=1, help="default: %(default)s")
    parser.add_argument("--processes", type=int, default=2, help="that render; default: %(default)s")
    given = parser.parse_args()
    console = Console()
    began = time.monotonic()
    scenes = render(given.scenes, 0, given.processes)
    console.log(f"{given.scenes} scenes rendered in {time.monotonic() - began:.0f} s")
    network = train(scenes, epochs=given.epochs, batch=given.batch, seed=given.seed, console=console)
    given.to.mkdir(parents=True, exist_ok=True)
    for path in export(network, LABELS, given.to):
        console.log(f"{path}: {path.stat().st_size / 1e6:.2f} MB")
    minutes = (time.monotonic() - began) / 60
    console.log(f"done in {minutes:.1f} minutes; processor time {time.process_time() / 60:.1f}")


if __name__ == "__main__":
    main()
