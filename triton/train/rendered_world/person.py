"""Looks and poses of persons. The body's coordinates are those of `rendered_world.figure`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from rendered_world.canvas import Colour, shade

_SKIN = ((255, 224, 196), (241, 194, 152), (224, 172, 126), (198, 134, 88), (141, 85, 52), (92, 58, 40))
_HAIR = ((30, 24, 20), (60, 40, 26), (110, 72, 40), (190, 150, 90), (150, 150, 150), (120, 50, 30))


@dataclass(frozen=True, slots=True)
class Limb:
    """Angles in radians: ``swing`` forwards, ``spread`` to the side, ``bend`` of the elbow or knee."""

    swing: float = 0.0
    spread: float = 0.05
    bend: float = 0.1


@dataclass(frozen=True, slots=True)
class Pose:
    """A pose. ``yaw`` 0 faces the camera, above 0 turns to the person's left; ``lean`` is forwards.

    The head turns with the body, and by ``head_yaw`` more. Angles are in radians.
    """

    yaw: float = 0.0
    lean: float = 0.0
    head_yaw: float = 0.0
    arms: tuple[Limb, Limb] = (Limb(), Limb())
    legs: tuple[Limb, Limb] = (Limb(spread=0.04), Limb(spread=0.04))
    """Left, right."""


@dataclass(frozen=True, slots=True)
class Look:
    """Colours and proportions of one person."""

    skin: Colour
    hair: Colour
    shirt: Colour
    trousers: Colour
    shoes: Colour
    long_sleeves: bool = True
    short_trousers: bool = False
    skirt: bool = False
    long_hair: bool = False
    stripes: bool = False
    stoutness: float = 1.0
    head: float = 1.0


@dataclass(frozen=True, slots=True)
class Person:
    """Where a person stands: ``x``, ``y`` of the ground between the feet and the height, in pixels."""

    x: float
    y: float
    height: float
    pose: Pose
    look: Look
    hangs = False

    @property
    def reach(self) -> tuple[float, float]:
        """Approximate width and height of the drawn person in pixels."""
        return 0.36 * self.height, self.height


def random_look(random: np.random.Generator) -> Look:
    """Makes random colours and proportions."""

    def colour() -> Colour:
        red, green, blue = (int(part) for part in random.integers(0, 256, 3))
        return (red, green, blue)

    return Look(
        skin=_SKIN[random.integers(len(_SKIN))],
        hair=_HAIR[random.integers(len(_HAIR))],
        shirt=colour(),
        trousers=colour() if random.random() < 0.5 else shade((90, 95, 120), random.uniform(0.3, 1.5)),
        shoes=shade((120, 110, 100), random.uniform(0.2, 2)),
        long_sleeves=bool(random.random() < 0.5),
        short_trousers=bool(random.random() < 0.25),
        skirt=bool(random.random() < 0.15),
        long_hair=bool(random.random() < 0.4),
        stripes=bool(random.random() < 0.2),
        stoutness=float(random.uniform(0.8, 1.35)),
        head=float(random.uniform(0.9, 1.25)),
    )


def walking(phase: float, yaw: float, stride: float = 0.5) -> Pose:
    """A step cycle takes 2π of ``phase``; ``stride`` is the swing of the thighs in radians."""
    swing = stride * math.sin(phase)

    def leg(angle: float, at: float) -> Limb:
        return Limb(angle, 0.03, 0.15 + 1.3 * stride * max(0.0, math.cos(at)))

    def arm(angle: float) -> Limb:
        return Limb(angle, 0.1, 0.3 + 0.5 * stride)

    return Pose(
        yaw,
        lean=0.08 * stride,
        arms=(arm(-0.9 * swing), arm(0.9 * swing)),
        legs=(leg(swing, phase), leg(-swing, phase + math.pi)),
    )


def waving(phase: float, yaw: float = 0.0) -> Pose:
    """Waves the right hand; a wave takes 2π of ``phase``."""
    raised = Limb(0.2, 2.2, 0.0)
    return replace(standing(yaw), arms=(Limb(0.05, 0.15, 0.2), replace(raised, bend=0.6 * math.sin(phase))))


def standing(yaw: float) -> Pose:
    """At ease."""
    return Pose(yaw, arms=(Limb(0.02, 0.12, 0.2), Limb(0.02, 0.12, 0.2)))


def random_pose(random: np.random.Generator) -> Pose:
    """Walking, running, standing, waving, sitting, or with limbs anywhere."""
    yaw = float(random.uniform(-math.pi, math.pi) if random.random() < 0.6 else random.normal(0, 0.5))
    kinds: tuple[Callable[[], Pose], ...] = (
        lambda: walking(float(random.uniform(0, 2 * math.pi)), yaw, float(random.uniform(0.2, 0.6))),
        lambda: walking(float(random.uniform(0, 2 * math.pi)), yaw, float(random.uniform(0.6, 1.0))),
        lambda: replace(standing(yaw), arms=(_any_arm(random), _any_arm(random))),
        lambda: waving(float(random.uniform(0, 2 * math.pi)), yaw),
        lambda: _sitting(random, yaw),
        lambda: Pose(
            yaw,
            float(random.normal(0, 0.15)),
            0.0,
            (_any_arm(random), _any_arm(random)),
            (_any_leg(random), _any_leg(random)),
        ),
    )
    kind = random.choice(len(kinds), p=(0.25, 0.1, 0.25, 0.1, 0.1, 0.2))
    return replace(kinds[kind](), head_yaw=float(random.normal(0, 0.35)))


def _sitting(random: np.random.Generator, yaw: float) -> Pose:
    def leg() -> Limb:
        return Limb(
            float(random.uniform(1.2, 1.6)), float(random.uniform(0, 0.3)), float(random.uniform(1.2, 1.7))
        )

    return Pose(yaw, float(random.uniform(0, 0.2)), 0.0, (_any_arm(random), _any_arm(random)), (leg(), leg()))


def _any_arm(random: np.random.Generator) -> Limb:
    return Limb(
        float(random.uniform(-0.5, 1.8)), float(random.uniform(0, 2.4)), float(random.uniform(0, 1.9))
    )


def _any_leg(random: np.random.Generator) -> Limb:
    return Limb(
        float(random.normal(0, 0.4)), abs(float(random.normal(0, 0.25))), abs(float(random.normal(0, 0.5)))
    )
