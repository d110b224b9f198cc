"""Tracks texts: OCR reads them now and then, and optical flow follows them from frame to frame."""

from __future__ import annotations

import difflib
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, cast

import cv2
import numpy as np

from inference.matching import best_pairs, iou
from inference.rounding import COORDINATE_DIGITS, rounded
from inference.types import Floats, FrameIdentity, Image, Quad, Text

MAX_FOLLOWED = 20

_Grey: TypeAlias = cv2.typing.MatLike

_KEPT = 3
"""Frames kept while OCR does not run. As several may be in inference, OCR may begin with any of them."""
_KEPT_WHILE_READING = 12
"""Frames kept while OCR runs. If more come, every second frame is dropped."""
_CORNERS = 12
_MIN_CORNERS = 4
_WINDOW = (15, 15)
_LEVELS = 3
_MAX_RETURN = 1.0
"""Largest error in pixels of a corner that is followed to the next frame and back."""
_LOOK = (48, 12)
_SAME_LOOK = 0.5
"""Least correlation of the pixels at a text's place with its pixels when it was read."""
_MIN_OVERLAP = 0.25
"""Least `iou` of two readings of one text."""
_SAME_TEXT = 0.6
"""Least similarity of two readings of one text, as some characters are misread."""
_REMEMBERED_MS = 10_000.0
"""A text that is lost and read again within this media time gets its id back."""


@dataclass(slots=True)
class _Track:
    text: Text
    quad: Floats
    """[4, 2] in 0..1 of the picture."""
    look: Floats
    lost_at_ms: float | None = None


class TextTracks:
    """The texts of one session. Thread-safe. Each call takes some milliseconds at most."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._frames: list[tuple[FrameIdentity, _Grey]] = []
        self._reads = self._has_read = False
        self._tracks: list[_Track] = []
        self._next_id = 1

    def follow(self, identity: FrameIdentity, picture: Image) -> tuple[Text, ...] | None:
        """Moves the texts from the previous frame to this frame, and returns them.

        ``None`` before the first OCR run has ended. ``picture`` is the canvas without its letterbox bars.
        """
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        with self._lock:
            if self._frames and self._frames[-1][1].shape != grey.shape:
                self._frames, self._tracks = [], []
            for track in self._tracks if self._frames else ():
                if track.lost_at_ms is None:
                    self._move(track, self._frames[-1][1], grey, identity)
            self._forget(identity)
            self._keep(identity, grey)
            return self._current() if self._has_read else None

    def begin_reading(self, identity: FrameIdentity) -> None:
        """OCR begins on the frame ``identity``, one of the last passed to `follow`."""
        with self._lock:
            names = [name for name, _ in self._frames]
            self._frames = self._frames[names.index(identity) if identity in names else -1 :]
            self._reads = True

    def end_reading(self, texts: Sequence[Text]) -> tuple[Text, ...]:
        """Replaces the visible texts by the texts of the OCR run, and returns these with ids.

        A text gets the id of an earlier text at the same place that reads nearly the same. Otherwise it gets
        a new id.
        """
        with self._lock:
            self._reads, self._has_read = False, True
            if not self._frames:
                return tuple(replace(text, id=self._new_id()) for text in texts)
            fresh = [self._track(text) for text in texts]
            for (_, before), (name, after) in zip(self._frames, self._frames[1:], strict=False):
                for track in fresh:
                    if track.lost_at_ms is None:
                        self._move(track, before, after, name)
            self._name(fresh)
            lost = [track for track in self._tracks if track.lost_at_ms is not None]
            taken = {track.text.id for track in fresh}
            self._tracks = [*fresh, *(track for track in lost if track.text.id not in taken)]
            return tuple(replace(text, id=track.text.id) for text, track in zip(texts, fresh, strict=True))

    @property
    def current(self) -> tuple[Text, ...]:
        """The texts in the newest frame."""
        with self._lock:
            return self._current()

    def _current(self) -> tuple[Text, ...]:
        seen = (track for track in self._tracks if track.lost_at_ms is None)
        return tuple(replace(track.text, quad=_points(track.quad)) for track in seen)[:MAX_FOLLOWED]

    def _track(self, text: Text) -> _Track:
        quad = np.array(text.quad, np.float32)
        return _Track(text, quad, _look(self._frames[0][1], quad))

    def _move(self, track: _Track, before: _Grey, after: _Grey, name: FrameIdentity) -> None:
        size = np.array((before.shape[1], before.shape[0]), np.float32)
        moved = _moved(before, after, track.quad * size)
        if moved is not None:
            moved /= size
            inside = (moved.mean(axis=0) >= 0).all() and (moved.mean(axis=0) <= 1).all()
            if inside and _correlation(_look(after, moved), track.look) >= _SAME_LOOK:
                track.quad = moved
                return
        track.lost_at_ms = name.pts_ms

    def _name(self, fresh: Sequence[_Track]) -> None:
        """Assigns ids: those of existing tracks with the same text, else new ids."""
        overlap = iou(_boxes(fresh), _boxes(self._tracks))
        same = [[_similar(new.text.text, old.text.text) for old in self._tracks] for new in fresh]
        alike = np.array(same, np.float32).reshape(overlap.shape)
        worth = np.where((overlap >= _MIN_OVERLAP) & (alike >= _SAME_TEXT), overlap + alike, 0.0)
        known = {row: self._tracks[column].text.id for row, column in best_pairs(worth.astype(np.float32))}
        for row, track in enumerate(fresh):
            track.text = replace(track.text, id=known.get(row) or self._new_id())

    def _new_id(self) -> int:
        self._next_id += 1
        return self._next_id - 1

    def _forget(self, identity: FrameIdentity) -> None:
        self._tracks = [
            track
            for track in self._tracks
            if track.lost_at_ms is None or 0 <= identity.pts_ms - track.lost_at_ms <= _REMEMBERED_MS
        ]

    def _keep(self, identity: FrameIdentity, grey: _Grey) -> None:
        self._frames.append((identity, grey))
        if not self._reads:
            self._frames = self._frames[-_KEPT:]
        elif len(self._frames) > _KEPT_WHILE_READING:
            self._frames = [*self._frames[:-1:2], self._frames[-1]]


def _moved(before: _Grey, after: _Grey, quad: Floats) -> Floats | None:
    """Returns where ``quad`` of ``before`` lies in ``after``, in pixels; ``None`` if it cannot be followed.

    Corners inside the quad are followed by pyramidal Lucas-Kanade flow to ``after`` and back.
    """
    mask = np.zeros(before.shape, np.uint8)
    cv2.fillConvexPoly(mask, quad.round().astype(np.int32), 1)
    corners = cv2.goodFeaturesToTrack(before, _CORNERS, 0.02, 2, mask=mask)
    if corners is None or len(corners) < _MIN_CORNERS:
        return None
    there, found, _ = cv2.calcOpticalFlowPyrLK(
        before, after, corners, np.empty(0), winSize=_WINDOW, maxLevel=_LEVELS
    )
    back, returned, _ = cv2.calcOpticalFlowPyrLK(
        after, before, there, np.empty(0), winSize=_WINDOW, maxLevel=_LEVELS
    )
    off = np.abs(back - corners).reshape(-1, 2).max(axis=1)
    good = (found.ravel() == 1) & (returned.ravel() == 1) & (off <= _MAX_RETURN)
    if good.sum() < max(_MIN_CORNERS, len(corners) / 3):
        return None
    transform, _ = cv2.estimateAffinePartial2D(corners[good], there[good], ransacReprojThreshold=1.0)
    return (
        None if transform is None else np.asarray(cv2.transform(quad[np.newaxis], transform)[0], np.float32)
    )


def _look(grey: _Grey, quad: Floats) -> Floats:
    """Returns a small upright thumbnail of the pixels inside ``quad``, [4, 2] in 0..1 of the picture."""
    width, height = _LOOK
    corners = (quad * (grey.shape[1], grey.shape[0])).astype(np.float32)
    upright = np.array(((0, 0), (width, 0), (width, height)), np.float32)
    look = cv2.warpAffine(grey, cv2.getAffineTransform(corners[:3], upright), _LOOK, flags=cv2.INTER_AREA)
    return np.asarray(look, np.float32)


def _correlation(a: Floats, b: Floats) -> float:
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / max(1e-6, np.sqrt((a * a).sum() * (b * b).sum())))


def _similar(a: str, b: str) -> float:
    return 1.0 if a == b else difflib.SequenceMatcher(None, a, b, autojunk=False).ratio()


def _boxes(tracks: Sequence[_Track]) -> Floats:
    """Returns the bounding box of each quad: [n, 4] x, y, width, height."""
    quads = np.array([track.quad for track in tracks], np.float32).reshape(-1, 4, 2)
    low = quads.min(axis=1)
    return np.concatenate((low, quads.max(axis=1) - low), axis=1)


def _points(quad: Floats) -> Quad:
    points = tuple(map(tuple, rounded(quad.clip(0.0, 1.0), COORDINATE_DIGITS).tolist()))
    return cast("Quad", points)
