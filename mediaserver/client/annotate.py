"""Draws results on their frames, and writes the frames as a video file."""

from __future__ import annotations

import bisect
import colorsys
import contextlib
import io
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import cv2
import numpy as np
from av.format import Flags
from av.video.stream import VideoStream
from numpy.typing import NDArray

from mediaserver.client.clip_clock import CLOCK_HZ
from mediaserver.client.held_texts import HeldTexts
from mediaserver.client.recording import open_recording
from mediaserver.errors import OutputError, writing
from signaling.findings import WireDetection, WirePose, WireSegment, WireText
from signaling.messages import Result

_SKELETON = (
    *((15, 13), (13, 11), (16, 14), (14, 12), (11, 12), (5, 11), (6, 12), (5, 6), (5, 7), (6, 8)),
    *((7, 9), (8, 10), (1, 2), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6)),
)
"""Pairs of COCO keypoints that are joined by a line."""

_MIN_KEYPOINT_SCORE = 0.3
_CODEC: Final = "libx264"
_ENCODING = {"preset": "veryfast", "crf": "20", "bf": "0"}
"""Without B-frames the first frame is at 0 in every container."""
_ROUNDING_S = 0.0005
"""Moments may be rounded on the way."""
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
    left = max(0, min(int(corner[0]), picture.shape[1] - width - 7))
    top = max(0, int(corner[1]) - height - baseline - 4)
    cv2.rectangle(picture, (left, top), (left + width + 6, top + height + baseline + 4), colour, -1)
    ink = (0, 0, 0) if sum(colour) > 380 else (255, 255, 255)
    cv2.putText(picture, text, (left + 3, top + height + 2), _FONT, 0.45, ink, 1, cv2.LINE_AA)


def _pixel(point: NDArray[np.float64] | tuple[float, float]) -> tuple[int, int]:
    return round(float(point[0])), round(float(point[1]))


def _colour(track_id: int) -> tuple[int, int, int]:
    """Neighbouring ids get colours far apart: steps of the golden ratio around the colour circle."""
    red, green, blue = colorsys.hsv_to_rgb((track_id * 0.618034) % 1.0, 0.75, 1.0)
    return round(red * 255), round(green * 255), round(blue * 255)


def check_format(out: Path) -> None:
    """Checks that `write_annotated` can write the format of the name ``out``; no file is touched.

    Raises `OutputError`.
    """
    target = io.BytesIO()
    target.name = str(out)  # from which PyAV tells the format
    try:
        with av.open(target, "w") as container:
            container.add_stream(_CODEC)
            keeps_times = Flags.variable_fps in Flags(container.format.flags)
    except (ValueError, av.FFmpegError) as exc:
        raise OutputError(f"cannot write {out}: {_words(exc)}; name it .mp4") from exc
    if not keeps_times:
        raise OutputError(f"cannot write {out}: the format keeps no uneven frame times; name it .mp4")


def write_annotated(
    clip: Path,
    out: Path,
    results: Sequence[tuple[float, Result]],
    on_progress: Callable[[float], None] = lambda share: None,
) -> None:
    """Reads ``clip`` again and writes it to ``out`` as H.264 with ``results`` drawn in; blocking.

    Each result comes with its moment in the clip, in seconds and ascending, and is drawn until the next.
    Texts are drawn from the frame that was read, for 2 s at most. Frames keep their times. All frames get the
    size of the first, with even sides. The video ends with the last result. ``on_progress`` gets the share
    done, 0..1.

    Raises `mediaserver.errors.OutputError` if ``out`` cannot be written or its format cannot hold H.264, and
    `mediaserver.client.errors.ClipError`.
    """
    if not results:
        return
    times = [moment for moment, _ in results]
    texts = HeldTexts(results)
    with contextlib.ExitStack() as stack:
        stack.enter_context(writing(out))
        recording = stack.enter_context(open_recording(clip))
        try:
            target = stack.enter_context(av.open(str(out), "w"))
            stream = target.add_stream(_CODEC, options=_ENCODING)
        except ValueError as exc:
            raise OutputError(f"cannot write {out}: {_words(exc)}") from exc
        for number, frame in enumerate(recording.frames()):
            if frame.time > times[-1] + _ROUNDING_S:
                break
            on_progress(min(1.0, frame.time / max(times[-1], 1e-6)))
            picture = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
            if number == 0:
                _set_up(stream, picture)
            shown = texts.at(frame.time + _ROUNDING_S, picture)
            current = bisect.bisect_right(times, frame.time + _ROUNDING_S) - 1
            if current >= 0:
                draw(picture, results[current][1], shown)
            drawn = av.VideoFrame.from_ndarray(_fitted(picture, stream.width, stream.height), format="rgb24")
            drawn.pts, drawn.time_base = frame.pts, frame.time_base
            target.mux(stream.encode(drawn))
        target.mux(stream.encode(None))


def _set_up(stream: VideoStream, picture: NDArray[np.uint8]) -> None:
    height, width = picture.shape[:2]
    stream.width, stream.height = width + width % 2, height + height % 2  # yuv420p needs even sides
    stream.pix_fmt = "yuv420p"
    stream.time_base = stream.codec_context.time_base = Fraction(1, CLOCK_HZ)


def _fitted(picture: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """With its last row or column again where one is missing; of another size as large as fits, on black."""
    rows, columns = picture.shape[:2]
    if not (0 <= height - rows <= 1 and 0 <= width - columns <= 1):
        scale = min(width / columns, height / rows)
        size = max(1, round(columns * scale)), max(1, round(rows * scale))
        canvas = np.zeros((height, width, 3), np.uint8)
        canvas[: size[1], : size[0]] = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        return canvas
    return np.pad(picture, ((0, height - rows), (0, width - columns), (0, 0)), mode="edge")


def _words(exc: Exception) -> str:
    """Of PyAV's, without the name of what stands in for the file."""
    return str(getattr(exc, "strerror", None) or exc)
