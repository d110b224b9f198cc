"""Turns pictures as the metadata of their file demands.

Phones record as the sensor lies, and some recorders have pixels that are not square.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Any, TypeAlias

import av
import av.filter
import numpy as np
from av.sidedata.sidedata import Type

from mediaserver.client.clip_clock import CLOCK_HZ

_Filters: TypeAlias = tuple[tuple[str, str], ...]
"""Names and arguments of FFmpeg's filters."""

_TURNS: dict[tuple[int, int, int, int], _Filters] = {
    (0, 1, -1, 0): (("transpose", "clock"),),
    (-1, 0, 0, -1): (("hflip", ""), ("vflip", "")),
    (0, -1, 1, 0): (("transpose", "cclock"),),
    (-1, 0, 0, 1): (("hflip", ""),),
    (1, 0, 0, -1): (("vflip", ""),),
    (0, 1, 1, 0): (("transpose", "cclock_flip"),),
    (0, -1, -1, 0): (("transpose", "clock_flip"),),
}
"""By the signs of a display matrix (ISO/IEC 14496-12, 6.2.2): where its x and y axis point to."""
_SQUARE = Fraction(1)
_PIXEL_SHAPES = (Fraction(1, 4), Fraction(4))
"""Width by height. No camera has other shapes, which could make a huge picture of a small one."""
_UNKNOWN_TO_PYAV = range(28, 48)
"""Kinds of side data, such as EXIF. Of a frame that has one PyAV lists none, but raises ``ValueError``."""


class Upright:
    """Turns frames by quarters, mirrors them and makes their pixels squares; keeps FFmpeg's filters as long
    as frames stay alike."""

    def __init__(self) -> None:
        self._graph: av.filter.Graph | None = None
        self._made_for: object = None
        self._looked_at: object = None
        self._axes = (1, 0, 0, 1)

    def turn(self, frame: av.VideoFrame, pixel_shape: Fraction | None = None) -> av.VideoFrame:
        """The frame as it is to be seen: itself where nothing is to be done.

        ``pixel_shape`` is a pixel's width by its height, where the source says it.
        """
        alike = (frame.rotation, frame.width, frame.height)
        if self._looked_at != alike:
            # Not of each frame: a frame and its side data refer to each other. Both would wait for the
            # garbage collector.
            self._looked_at, self._axes = alike, _axes(frame)
        filters = (*_squaring(frame, pixel_shape or _SQUARE), *_TURNS.get(self._axes, ()))
        if not filters:
            return frame
        wanted = (filters, frame.width, frame.height, frame.format.name)
        if self._graph is None or self._made_for != wanted:
            self._graph, self._made_for = _graph(frame, filters), wanted
        self._graph.vpush(frame)
        return self._graph.vpull()


def _squaring(frame: av.VideoFrame, pixel_shape: Fraction) -> _Filters:
    """Makes the picture larger in one direction: none of what it shows is lost."""
    if pixel_shape == _SQUARE or not _PIXEL_SHAPES[0] <= pixel_shape <= _PIXEL_SHAPES[1]:
        return ()
    width = round(frame.width * max(pixel_shape, _SQUARE))
    height = round(frame.height / min(pixel_shape, _SQUARE))
    return (("scale", f"{width}:{height}"),)


def _axes(frame: av.VideoFrame) -> tuple[int, int, int, int]:
    matrix = next((item for item in _side_data(frame) if item.type is Type.DISPLAYMATRIX), None)
    if matrix is None:
        return 1, 0, 0, 1
    a, b, _, c, d = np.sign(np.frombuffer(bytes(matrix), "=i4")[:5]).tolist()
    return a, b, c, d


def _side_data(frame: av.VideoFrame) -> Iterable[Any]:
    try:
        return frame.side_data
    except ValueError:
        graph = _graph(frame, tuple(("sidedata", f"mode=delete:type={kind}") for kind in _UNKNOWN_TO_PYAV))
        graph.vpush(frame)
        return graph.vpull().side_data


def _graph(frame: av.VideoFrame, filters: _Filters) -> av.filter.Graph:
    graph = av.filter.Graph()
    source = graph.add_buffer(
        template=None,
        width=frame.width,
        height=frame.height,
        format=frame.format,
        time_base=frame.time_base or Fraction(1, CLOCK_HZ),  # the last ones of a decoder have none
    )
    graph.link_nodes(source, *(graph.add(name, args) for name, args in filters), graph.add("buffersink"))
    graph.configure()
    return graph
