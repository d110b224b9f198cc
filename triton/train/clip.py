"""``python triton/train/clip.py``: renders the sample clip, ``web/sample/street.mp4`` and ``.webm``.

There are two files, as not all browsers play both formats.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from rich.progress import track

from rendered_world import film
from rendered_world.canvas import HEIGHT, WIDTH


@dataclass(frozen=True, slots=True)
class _Encoding:
    codec: str
    options: dict[str, str]
    container: dict[str, str]


_ENCODINGS = {
    # A browser can begin to play before it has the whole file.
    ".mp4": _Encoding("libx264", {"preset": "veryslow", "crf": "25"}, {"movflags": "+faststart"}),
    ".webm": _Encoding("libvpx", {"crf": "16", "b:v": "600k", "deadline": "good", "cpu-used": "1"}, {}),
}


def write_clip(path: Path) -> None:
    """Writes the clip: 640×480, 30 fps, with the codec of its suffix; frame n is `rendered_world.film.frame`
    of n.
    """
    encoding = _ENCODINGS[path.suffix]
    with av.open(str(path), "w", options=encoding.container) as container:
        stream = container.add_stream(encoding.codec, rate=film.FPS, options=encoding.options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.gop_size = 2 * film.FPS
        for number in track(range(film.FRAMES), "rendering"):
            picture, _ = film.frame(number)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, film.FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def main() -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description="Renders the sample clip.")
    parser.add_argument("--to", type=Path, default=Path("web/sample"), help="a folder; default: %(default)s")
    folder = parser.parse_args().to
    folder.mkdir(parents=True, exist_ok=True)
    for suffix in _ENCODINGS:
        write_clip((folder / "street").with_suffix(suffix))


if __name__ == "__main__":
    main()
