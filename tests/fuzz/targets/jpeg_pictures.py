"""Pictures on the WebSocket: what is read on the event loop, then the decoder.

Only small pictures are decoded here. What a picture costs the decoder grows with its size in pixels, not with
its bytes.
"""

from __future__ import annotations

from mediaserver.session.jpeg_decoder import decode_jpeg
from signaling.jpeg import JpegError, parse_jpeg

_MAX_PIXELS = 128 * 128


def one_input(data: bytes) -> None:
    try:
        frame = parse_jpeg(data)
        if frame.width * frame.height > _MAX_PIXELS:
            return
        picture = decode_jpeg(frame)
    except JpegError:
        return
    coded = (picture.width, picture.height)
    assert (frame.width, frame.height) == (coded[::-1] if frame.orientation.is_sideways else coded)
