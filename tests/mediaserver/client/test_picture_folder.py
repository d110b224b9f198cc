from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from inference.types import Image
from mediaserver.client.errors import ClipError
from mediaserver.client.recording import open_recording
from signaling.jpeg import Orientation
from tests.support.exif import with_orientation

_AS_CODED: dict[Orientation, Callable[[Image], Image]] = {
    Orientation.AS_CODED: lambda picture: picture,
    Orientation.MIRRORED: lambda picture: picture[:, ::-1],
    Orientation.TURNED_180: lambda picture: picture[::-1, ::-1],
    Orientation.MIRRORED_TURNED_180: lambda picture: picture[::-1],
    Orientation.MIRRORED_TURNED_270: lambda picture: picture.transpose(1, 0, 2),
    Orientation.TURNED_90: np.rot90,
    Orientation.MIRRORED_TURNED_90: lambda picture: picture[::-1, ::-1].transpose(1, 0, 2),
    Orientation.TURNED_270: lambda picture: np.rot90(picture, -1),
}
"""What a camera writes that is held so."""


def _frames(folder: Path) -> list[av.VideoFrame]:
    with open_recording(folder) as recording:
        return list(recording.frames())


def test_pictures_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for name, width in (("2.png", 20), ("10.jpg", 30), ("1.webp", 10)):
        cv2.imwrite(str(tmp_path / name), np.zeros((8, width, 3), np.uint8))
    (tmp_path / "notes.txt").write_text("no picture")
    for hidden in (".3.png", "._1.webp"):
        (tmp_path / hidden).write_bytes((tmp_path / "2.png").read_bytes())
    with open_recording(tmp_path) as folder:
        frames = list(folder.frames())
        assert [frame.width for frame in frames] == [10, 20, 30]
        assert [folder.file_at(frame.time).name for frame in frames] == ["1.webp", "2.png", "10.jpg"]
        assert folder.duration_s == pytest.approx(0.1)
        assert folder.share_read == 1


@pytest.mark.parametrize("orientation", list(Orientation))
def test_a_picture_of_a_phone_is_upright(tmp_path: Path, orientation: Orientation) -> None:
    shown = np.zeros((40, 60, 3), np.uint8)
    shown[:20, :30] = 255
    _, data = cv2.imencode(".jpg", _AS_CODED[orientation](shown))
    (tmp_path / "phone.jpg").write_bytes(with_orientation(data.tobytes(), orientation))
    [frame] = _frames(tmp_path)
    assert np.abs(frame.to_ndarray(format="rgb24").astype(int) - shown).mean() < 8


def test_how_densely_a_picture_is_to_be_printed_does_not_change_it(tmp_path: Path) -> None:
    _, data = cv2.imencode(".jpg", np.zeros((40, 60, 3), np.uint8))
    jfif = data.tobytes()
    assert jfif[6:11] == b"JFIF\0"
    (tmp_path / "scan.jpg").write_bytes(jfif[:14] + b"\x00\xc8\x00\x64" + jfif[18:])
    [frame] = _frames(tmp_path)
    assert (frame.width, frame.height) == (60, 40)


def test_a_picture_that_cannot_be_read_keeps_its_place(tmp_path: Path) -> None:
    for name in ("1.png", "3.png"):
        cv2.imwrite(str(tmp_path / name), np.zeros((8, 8, 3), np.uint8))
    (tmp_path / "2.png").write_bytes(b"no picture")
    with open_recording(tmp_path) as folder:
        times = [frame.time for frame in folder.frames()]
        assert times == pytest.approx([0, 2 / 30])
        assert [folder.file_at(time).name for time in times] == ["1.png", "3.png"]
        assert folder.damaged == 1


def test_a_folder_without_pictures_says_so(tmp_path: Path) -> None:
    with pytest.raises(ClipError, match="no pictures in this folder"):
        open_recording(tmp_path)
    (tmp_path / "1.png").write_bytes(b"no picture")
    with open_recording(tmp_path) as folder, pytest.raises(ClipError, match="none of its 1 pictures"):
        list(folder.frames())
