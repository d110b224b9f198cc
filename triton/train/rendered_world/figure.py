"""Draws people: a skeleton in three dimensions and clothes, part by part, the farthest part first.

The body's coordinates are in body heights. x goes to the person's left, y up, z in the direction of the
chest. The origin is on the ground between the feet of a person who stands straight. Keypoints are COCO's 17.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rendered_world.canvas import Canvas, shade
from rendered_world.person import Limb, Look, Person

NOSE, LEFT_EYE, RIGHT_EYE, LEFT_EAR, RIGHT_EAR = range(5)
SHOULDER, ELBOW, WRIST, HIP, KNEE, ANKLE = 5, 7, 9, 11, 13, 15
"""Indices of the left keypoints; those of the right are one higher."""

KEYPOINTS = 17
FLIPPED = (0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15)
"""Index of each keypoint in a mirrored picture."""


def _limb(
    root: NDArray[np.float64], side: int, limb: Limb, lengths: tuple[float, float], bends: int
) -> NDArray[np.float64]:
    """Returns the joints of a limb, [3, 3]: root, middle and end.

    ``side`` is 1 for the left. ``bends`` is 1 forwards, -1 backwards.
    """

    def direction(swing: float) -> NDArray[np.float64]:
        outwards, down = math.sin(limb.spread), math.cos(limb.spread)
        return np.array([side * outwards, -down * math.cos(swing), down * math.sin(swing)])

    middle = root + direction(limb.swing) * lengths[0]
    return np.stack((root, middle, middle + direction(limb.swing + bends * limb.bend) * lengths[1]))


@dataclass(frozen=True, slots=True)
class Skeleton:
    """The keypoints of a person in the picture.

    ``points`` is [17, 3]: x, y in pixels, and depth in pixels, larger is nearer. ``seen`` is [17], false if
    head or torso hide a keypoint entirely. ``unit`` is the body's height in pixels.
    """

    points: NDArray[np.float64]
    seen: NDArray[np.bool_]
    head: NDArray[np.float64]
    unit: float


_HEAD_RADIUS = 0.062


def skeleton(person: Person) -> Skeleton:
    """Projects the joints to the picture, for a camera far away."""
    pose, look = person.pose, person.look
    stout = 0.5 + 0.5 * look.stoutness
    body = np.zeros((KEYPOINTS, 3))
    hip_height = 0.5
    chest = np.array([0.0, 0.31 * math.cos(pose.lean), 0.31 * math.sin(pose.lean)])
    centre = np.array([0.0, hip_height, 0.0])
    for offset, side in ((0, 1), (1, -1)):
        shoulder = centre + chest + np.array((side * 0.115 * stout, 0.0, 0.0))
        hip = centre + np.array((side * 0.07 * stout, 0.0, 0.0))
        body[[SHOULDER + offset, ELBOW + offset, WRIST + offset]] = _limb(
            shoulder, side, pose.arms[offset], (0.17, 0.155), 1
        )
        body[[HIP + offset, KNEE + offset, ANKLE + offset]] = _limb(
            hip, side, pose.legs[offset], (0.235, 0.235), -1
        )
    radius = _HEAD_RADIUS * look.head
    head = centre + chest * 1.18 + (0.0, radius * 1.15, 0.02)
    turn = _about_y(pose.head_yaw)
    face = np.array([[0, -0.1, 1.05], [0.38, 0.18, 0.9], [-0.38, 0.18, 0.9], [0.98, 0, 0], [-0.98, 0, 0]])
    body[:5] = head + (face * radius) @ turn.T
    # The lower foot stands on the ground, whatever the legs do.
    body[:, 1] -= body[[ANKLE, ANKLE + 1], 1].min() - 0.035
    head[1] += body[NOSE, 1] - (head + (face[0] * radius) @ turn.T)[1]
    whole = np.vstack((body, head)) @ _about_y(pose.yaw).T
    depth_of_face = (face * radius) @ turn.T @ _about_y(pose.yaw).T
    seen = np.ones(KEYPOINTS, np.bool_)
    seen[:5] = depth_of_face[:, 2] > np.array([0.1, 0.05, 0.05, -0.45, -0.45]) * radius
    # The camera sees the person's left on the right; y goes down in pictures.
    pixels = whole * np.array([1.0, -1.0, 1.0]) * person.height
    pixels[:, :2] += (person.x, person.y)
    bones = Skeleton(pixels[:KEYPOINTS], seen, pixels[KEYPOINTS], person.height)
    for side in (0, 1):
        for depth, joints in (
            (_arm_depth(bones, side), (ELBOW, WRIST)),
            (_leg_depth(bones, side), (KNEE, ANKLE)),
        ):
            for joint in joints:
                if depth < _torso_depth(bones):
                    seen[joint + side] = not _torso_covers(bones, look, pixels[joint + side, :2])
    return bones


def _about_y(angle: float) -> NDArray[np.float64]:
    cosine, sine = math.cos(angle), math.sin(angle)
    return np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]])


def draw(canvas: Canvas, person: Person) -> Skeleton:
    """Draws the person and returns the joints."""
    bones = skeleton(person)
    parts = [_torso(bones, person.look), _head(bones, person)]
    for side in (0, 1):
        parts += [_arm(bones, person.look, side), _leg(bones, person.look, side)]
    for _, part in sorted(parts, key=lambda item: item[0]):
        part(canvas)
    return bones


_Part = tuple[float, Callable[[Canvas], None]]
"""Depth of a part, and a function that draws it."""


def _arm_depth(bones: Skeleton, side: int) -> float:
    """Returns the depth of an arm. In front of the chest it is nearer by its own thickness."""
    in_front = _arm_is_in_front(bones, side)
    return (
        _depth(bones, SHOULDER + side, ELBOW + side, WRIST + side)
        + (0.03 if in_front else -0.03) * bones.unit
    )


def _arm_is_in_front(bones: Skeleton, side: int) -> bool:
    return _depth(bones, SHOULDER + side, ELBOW + side, WRIST + side) >= _depth(bones, SHOULDER, SHOULDER + 1)


def _leg_depth(bones: Skeleton, side: int) -> float:
    return _depth(bones, HIP + side, KNEE + side, ANKLE + side) - 0.05 * bones.unit


def _torso_depth(bones: Skeleton) -> float:
    return _depth(bones, SHOULDER, SHOULDER + 1, HIP, HIP + 1)


def _depth(bones: Skeleton, *joints: int) -> float:
    return float(bones.points[list(joints), 2].mean())


def _arm(bones: Skeleton, look: Look, side: int) -> _Part:
    points, unit, stout = bones.points, bones.unit, look.stoutness
    light = 1.0 if _arm_is_in_front(bones, side) else 0.8
    below = shade(look.shirt, light * 0.78) if look.long_sleeves else shade(look.skin, light * 0.97)
    shoulder, elbow, wrist = (points[joint + side, :2] for joint in (SHOULDER, ELBOW, WRIST))

    def arm(canvas: Canvas) -> None:
        radii = (0.036 * stout * unit, 0.03 * stout * unit)
        canvas.limb(tuple(shoulder), tuple(elbow), radii, shade(look.shirt, light * 0.84))
        canvas.circle(tuple(wrist + (wrist - elbow) * 0.16), 0.032 * unit, shade(look.skin, light))
        canvas.limb(tuple(elbow), tuple(wrist), (0.028 * stout * unit, 0.02 * stout * unit), below)

    return _arm_depth(bones, side), arm


def _leg(bones: Skeleton, look: Look, side: int) -> _Part:
    points, unit, stout = bones.points, bones.unit, look.stoutness
    near = _depth(bones, HIP + side, KNEE + side, ANKLE + side) >= _depth(bones, HIP, HIP + 1)
    light = 1.0 if near else 0.75
    bare = look.short_trousers or look.skirt
    hip, knee, ankle = (points[joint + side, :2] for joint in (HIP, KNEE, ANKLE))
    heel = (ankle[0], ankle[1] + 0.015 * unit)
    toe = (ankle[0] + _forwards(bones) * 0.07 * unit, ankle[1] + 0.022 * unit)

    def leg(canvas: Canvas) -> None:
        canvas.limb(heel, toe, (0.024 * unit, 0.016 * unit), shade(look.shoes, light))
        below = shade(look.skin if bare else look.trousers, light * 0.95)
        canvas.limb(tuple(knee), tuple(ankle), (0.038 * stout * unit, 0.026 * stout * unit), below)
        radii = (0.055 * stout * unit, 0.042 * stout * unit)
        canvas.limb(tuple(hip), tuple(knee), radii, shade(look.trousers, light))

    return _leg_depth(bones, side), leg


def _forwards(bones: Skeleton) -> float:
    """Returns how far the chest points to the picture's right, -1 to 1."""
    across = bones.points[SHOULDER] - bones.points[SHOULDER + 1]
    return float(across[2] / (np.hypot(across[0], across[2]) or 1.0)) * -1.0


def _torso(bones: Skeleton, look: Look) -> _Part:
    points = bones.points

    def torso(canvas: Canvas) -> None:
        thick = _torso_radius(bones, look)
        hips = points[HIP, :2], points[HIP + 1, :2]
        canvas.limb(tuple(hips[0]), tuple(hips[1]), (thick * 1.1, thick * 1.1), look.trousers)
        if look.skirt:
            knees = (points[KNEE, :2] + hips[0]) / 2, (points[KNEE + 1, :2] + hips[1]) / 2
            hem = thick * 1.4
            canvas.polygon(
                [
                    (min(h[0] for h in hips) - thick, hips[0][1]),
                    (max(h[0] for h in hips) + thick, hips[0][1]),
                    (max(k[0] for k in knees) + hem, max(k[1] for k in knees)),
                    (min(k[0] for k in knees) - hem, max(k[1] for k in knees)),
                ],
                look.trousers,
            )
        for row, (start, end) in enumerate(_torso_rows(bones)):
            colour = shade(look.shirt, 0.6) if look.stripes and row % 2 else look.shirt
            canvas.limb(tuple(start), tuple(end), (thick, thick), colour)

    return _torso_depth(bones), torso


def _torso_radius(bones: Skeleton, look: Look) -> float:
    return 0.052 * look.stoutness * bones.unit


def _torso_rows(bones: Skeleton) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Yields the strokes of a torso from the shoulders down: left and right end of each."""
    left, right, left_hip, right_hip = bones.points[[SHOULDER, SHOULDER + 1, HIP, HIP + 1], :2]
    for share in np.linspace(0, 0.93, 9):
        yield left + (left_hip - left) * share, right + (right_hip - right) * share


def _torso_covers(bones: Skeleton, look: Look, point: NDArray[np.float64]) -> bool:
    for start, end in _torso_rows(bones):
        along = end - start
        share = np.clip(np.dot(point - start, along) / max(float(np.dot(along, along)), 1e-9), 0, 1)
        if np.hypot(*(start + share * along - point)) < _torso_radius(bones, look):
            return True
    return False


def _head(bones: Skeleton, person: Person) -> _Part:
    look, points, unit = person.look, bones.points, bones.unit
    centre, radius = bones.head, _HEAD_RADIUS * look.head * unit
    facing = float(points[NOSE, 2] - centre[2]) / radius
    sideways = float(points[NOSE, 0] - centre[0]) / radius

    def head(canvas: Canvas) -> None:
        at = (float(centre[0]), float(centre[1]))
        behind = (at[0] - sideways * radius * 0.18, at[1] - radius * 0.12)
        if look.long_hair and facing > 0:
            canvas.ellipse((behind[0], behind[1] + radius * 0.5), (radius * 1.05, radius * 1.5), look.hair)
        neck = points[[SHOULDER, SHOULDER + 1], :2].mean(axis=0)
        canvas.limb(tuple(neck), at, (0.034 * unit, 0.03 * unit), shade(look.skin, 0.85))
        if look.long_hair and facing <= 0:
            canvas.ellipse((behind[0], behind[1] + radius * 0.5), (radius * 1.05, radius * 1.5), look.hair)
        canvas.ellipse(behind, (radius * 1.08, radius * 1.15), look.hair)
        if facing > -0.2:
            shown = (at[0] + sideways * radius * 0.2, at[1] + radius * 0.2)
            canvas.ellipse(shown, (radius * (0.72 + 0.16 * facing), radius * 1.02), look.skin)
        for ear in (LEFT_EAR, RIGHT_EAR):
            if bones.seen[ear] and not look.long_hair:
                canvas.circle((points[ear, 0], points[ear, 1]), radius * 0.2, shade(look.skin, 0.88))
        for eye in (LEFT_EYE, RIGHT_EYE):
            if bones.seen[eye]:
                canvas.circle((points[eye, 0], points[eye, 1]), radius * 0.15, (250, 250, 250))
                canvas.circle((points[eye, 0], points[eye, 1]), radius * 0.09, (40, 30, 30))
        if bones.seen[NOSE]:
            nose = (points[NOSE, 0], points[NOSE, 1])
            canvas.ellipse(nose, (radius * 0.12, radius * 0.2), shade(look.skin, 0.78))
            mouth = (nose[0] - sideways * radius * 0.12, nose[1] + radius * 0.42)
            canvas.ellipse(mouth, (radius * 0.26 * max(0.3, facing), radius * 0.08), (150, 60, 60))

    return float(centre[2]) + 0.02 * unit, head
