"""What is found in a frame, as results and events carry it: a part of `signaling.messages`."""

from __future__ import annotations

from msgspec import Struct


class FrameInfo(Struct, omit_defaults=True):
    """Names the frame that a result belongs to."""

    rtp_timestamp: int | None
    """As on the wire: 90 kHz, 32 bits, wraps. Null for JPEG frames."""
    pts_ms: float
    """Milliseconds since the session's first frame. It goes on over reconnects and never goes back. A JPEG
    frame with ``pts_ms`` in a comment sets it."""
    capture_time_ms: float | None
    """Unix time in the sender's clock, in milliseconds: by RTCP sender reports, or by the comment in a JPEG.
    Null for a JPEG frame without."""
    width: int
    """Pixels, as it was sent. Of a JPEG frame: as EXIF turns it."""
    height: int
    """As ``width``."""
    capture_time_estimated: bool = False
    """True: there is no sender report to believe. ``capture_time_ms`` is estimated from arrivals, in the
    server's clock, and some 10 ms late."""


class WireDetection(Struct):
    """An object."""

    id: int
    """Its track. One thing has one id in ``detections``, ``poses`` and ``segments``, in all frames. The id
    stays for 1 s while no frame shows the thing."""
    label: str
    """Its class, one of ``welcome.models.detect.labels``."""
    score: float
    """0 to 1, rounded to 0.001."""
    box: tuple[float, float, float, float]
    """x, y, width, height."""
    velocity: tuple[float, float] | None
    """dx, dy of its track: frame widths and frame heights per second. Null at the first sighting."""


class WirePose(Struct):
    """A person."""

    id: int
    """As in `WireDetection`."""
    score: float
    """0 to 1, rounded to 0.001."""
    box: tuple[float, float, float, float]
    """x, y, width, height."""
    keypoints: list[tuple[float, float, float]]
    """17 times x, y, score, in the order of COCO (see Keypoints)."""


class WireSegment(Struct):
    """An object with its outline. A result has the best 20."""

    id: int
    """As in `WireDetection`."""
    label: str
    """Its class, one of ``welcome.models.segment.labels``."""
    score: float
    """0 to 1, rounded to 0.001."""
    box: tuple[float, float, float, float]
    """x, y, width, height."""
    polygon: list[tuple[float, float]]
    """A closed outline of x, y; 64 points at most. Empty if the model shows none."""


class WireText(Struct, omit_defaults=True):
    """A line of text."""

    text: str
    """What was read, in Unicode."""
    score: float
    """0 to 1, rounded to 0.001."""
    quad: tuple[tuple[float, float], tuple[float, float], tuple[float, float], tuple[float, float]]
    """Four corners as x, y, clockwise from the text's own top left."""
    id: int = 0
    """Stays while the text is in sight, also if readings differ a little, and for 10 s after."""


class WireMotion(Struct):
    """Speed of the whole picture between the last two inferred frames. A camera that turns right moves it
    left."""

    dx: float
    """Frame widths per second, to the right."""
    dy: float
    """Frame heights per second, down."""
    magnitude: float
    """The length of dx, dy."""
