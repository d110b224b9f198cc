"""``python triton/train/clip.py``: renders the sample clip, ``web/sample/street.mp4``."""

from __future__ import annotations

import argparse
from fractions import Fraction
from pathlib import Path

import av
from rich.progress import track

from rendered_world import film
from rendered_world.canvas import HEIGHT, WIDTH

_CODEC = {"preset": "veryslow", "crf": "25"}
_CONTAINER = {"movflags": "+faststart"}
"""A browser can begin to play before it has the whole file."""


def write_clip(path: Path) -> None:
    """H.264, 640×480, 30 frames a second; frame n is `rendered_world.film.frame` of n."""
    with av.open(str(path), "w", options=_CONTAINER) as container:
        stream = container.add_stream("libx264", rate=film.FPS, options=_CODEC)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.gop_size = 2 * film.FPS
        for number in track(range(film.FRAMES), "rendering"):
            picture, _ = film.frame(number)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, film.FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Renders the sample clip.")
    parser.add_argument("--to", type=Path, default=Path("web/sample/street.mp4"), help="default: %(default)s")
    path = parser.parse_args().to
    path.parent.mkdir(parents=True, exist_ok=True)
    write_clip(path)


if __name__ == "__main__":
    main()
