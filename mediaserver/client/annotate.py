"""Draws results on the frames that they belong to, and writes them as a video file."""

from __future__ import annotations

import bisect
import colorsys
import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from mediaserver.errors import OutputError, writing
from signaling.findings import WireDetection, WirePose, WireSegment, WireText
from signaling.messages import Result

_SKELETON = (
    *((15, 13), (13, 11), (16, 14), (14, 12), (11, 12), (5, 11), (6, 12), (5, 6), (5, 7), (6, 8)),
    *((7, 9), (8, 10), (1, 2), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6)),
)
"""Pairs of COCO keypoints that are joined by a line."""

_MIN_KEYPOINT_SCORE = 0.3
_TEXTS_HELD_S = 2.0
_FILLING = 0.35
"""How much of an outlined thing is its colour."""
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_TEXT_COLOUR = (255, 220, 60)


def draw(picture: NDArray[np.uint8], result: Result, texts: Sequence[WireText]) -> None:
    """Draws outlines, boxes, ids, skeletons and ``texts`` into ``picture``, uint8 [height, width, 3] RGB, in
    place."""
    boxed = {detection.id for detection in result.detections or ()}
    for segment in result.segments or ():
        _draw_segment(picture, segment, labelled=segment.id not in boxed)
    for detection in result.detections or ():
        _draw_detection(picture, detection)
    for pose in result.poses or ():
        _draw_pose(picture, pose)
    for text in texts:
        _draw_text(picture, text)


def _draw_segment(picture: NDArray[np.uint8], item: WireSegment, *, labelled: bool) -> None:
    """Its outline, or its box where it has none; ``labelled`` where no detection says what it is."""
    height, width = picture.shape[:2]
    colour = _colour(item.id)
    x, y, w, h = item.box
    outline = item.polygon or [(x, y), (x + w, y), (x + w, y + h), (x, y + h)]
    corners = [np.array([_pixel((x * width, y * height)) for x, y in outline], np.int32)]
    filled = cv2.fillPoly(picture.copy(), corners, colour, cv2.LINE_AA)
    cv2.addWeighted(filled, _FILLING, picture, 1 - _FILLING, 0, dst=picture)
    cv2.polylines(picture, corners, True, colour, 2, cv2.LINE_AA)
    if labelled:
        corner = _pixel((x * width, y * height))
        _draw_label(picture, f"{item.label} {item.id}  {item.score:.0%}", corner, colour)


def _draw_detection(picture: NDArray[np.uint8], item: WireDetection) -> None:
    height, width = picture.shape[:2]
    colour = _colour(item.id)
    x, y, w, h = item.box
    corner = (round(x * width), round(y * height))
    cv2.rectangle(picture, corner, (round((x + w) * width), round((y + h) * height)), colour, 2, cv2.LINE_AA)
    _draw_label(picture, f"{item.label} {item.id}  {item.score:.0%}", corner, colour)
    if item.velocity is not None:
        start = np.array(((x + w / 2) * width, (y + h / 2) * height))
        end = start + np.array(item.velocity) * (width, height) * 0.5
        cv2.arrowedLine(picture, _pixel(start), _pixel(end), colour, 2, cv2.LINE_AA, tipLength=0.25)


def _draw_pose(picture: NDArray[np.uint8], item: WirePose) -> None:
    height, width = picture.shape[:2]
    colour = _colour(item.id)
    points = [(_pixel((x * width, y * height)), score) for x, y, score in item.keypoints]
    for first, second in _SKELETON:
        if min(points[first][1], points[second][1]) >= _MIN_KEYPOINT_SCORE:
            cv2.line(picture, points[first][0], points[second][0], colour, 2, cv2.LINE_AA)
    for point, score in points:
        if score >= _MIN_KEYPOINT_SCORE:
            cv2.circle(picture, point, 3, (255, 255, 255), -1, cv2.LINE_AA)


def _draw_text(picture: NDArray[np.uint8], item: WireText) -> None:
    height, width = picture.shape[:2]
    corners = np.array([_pixel((x * width, y * height)) for x, y in item.quad], np.int32)
    cv2.polylines(picture, [corners], True, _TEXT_COLOUR, 2, cv2.LINE_AA)
    _draw_label(picture, item.text, tuple(corners[0]), _TEXT_COLOUR)


def _draw_label(
    picture: NDArray[np.uint8], text: str, corner: tuple[int, int], colour: tuple[int, int, int]
) -> None:
    """White or black on a filled strip above ``corner``, inside the picture."""
    (width, height), baseline = cv2.getTextSize(text, _FONT, 0.45, 1)
    left, top = int(corner[0]), max(0, int(corner[1]) - height - baseline - 4)
    cv2.rectangle(picture, (left, top), (left + width + 6, top + height + baseline + 4), colour, -1)
    ink = (0, 0, 0) if sum(colour) > 380 else (255, 255, 255)
    cv2.putText(picture, text, (left + 3, top + height + 2), _FONT, 0.45, ink, 1, cv2.LINE_AA)


def _pixel(point: NDArray[np.float64] | tuple[float, float]) -> tuple[int, int]:
    return round(float(point[0])), round(float(point[1]))


def _colour(track_id: int) -> tuple[int, int, int]:
    """Neighbouring ids get colours far apart: steps of the golden ratio around the colour circle."""
    red, green, blue = colorsys.hsv_to_rgb((track_id * 0.618034) % 1.0, 0.75, 1.0)
    return round(red * 255), round(green * 255), round(blue * 255)


def write_annotated(
    clip: Path,
    out: Path,
    results: Sequence[tuple[float, Result]],
    on_progress: Callable[[float], None] = lambda share: None,
) -> None:
    """Reads ``clip`` again and writes it to ``out`` as H.264 with ``results`` drawn in; blocking.

    Each result comes with its moment in the clip, in seconds and ascending; it is held until the next, its
    texts until OCR ran again, 2 s at most.
    The video ends with the last result. ``on_progress`` is told the share done, 0..1.

    Raises `mediaserver.errors.OutputError` when ``out`` cannot be written, or its name is that of no format
    that holds H.264.
    """
    if not results:
        return
    times = [moment for moment, _ in results]
    with contextlib.ExitStack() as stack:
        stack.enter_context(writing(out))
        source = stack.enter_context(av.open(str(clip)))
        video = source.streams.video[0]
        width, height = video.width & ~1, video.height & ~1  # yuv420p needs even sides
        try:
            target = stack.enter_context(av.open(str(out), "w"))
            stream = target.add_stream("libx264", rate=video.average_rate, width=width, height=height)
        except ValueError as exc:
            raise OutputError(f"cannot write {out}: {exc}") from exc
        stream.options = {"preset": "veryfast", "crf": "20"}
        stream.pix_fmt = "yuv420p"
        for frame in source.decode(video=0):
            if frame.time > times[-1]:
                break
            on_progress(frame.time / max(times[-1], 1e-6))
            picture = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
            # Half a millisecond of tolerance for moments that were rounded on the way.
            current = bisect.bisect_right(times, frame.time + 0.0005) - 1
            if current >= 0:
                draw(picture, results[current][1], _texts_at(results[: current + 1]))
            target.mux(stream.encode(av.VideoFrame.from_ndarray(picture[:height, :width], format="rgb24")))
        target.mux(stream.encode(None))


def _texts_at(until_now: Sequence[tuple[float, Result]]) -> Sequence[WireText]:
    """What OCR read last. It runs now and then, so most results carry no texts."""
    now = until_now[-1][0]
    for moment, result in reversed(until_now):
        if now - moment > _TEXTS_HELD_S:
            break
        if result.texts is not None:
            return result.texts
    return ()
