from __future__ import annotations

from pathlib import Path

import pytest

from mediaserver.client.clip import ClipError
from mediaserver.client.live_address import live_address


@pytest.mark.parametrize(
    "source",
    ["clip.mp4", "/srv/clip.mp4", "rtsp", "dev/video0", "/dev/video", "C:/clip.mp4"],
)
def test_a_file_is_no_live_source(source: str) -> None:
    assert live_address(source) is None
    assert live_address(Path(source)) is None


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("rtsp://cam.example/live", "rtsp://cam.example/live"),
        ("RTSP://cam.example:554/live", "rtsp://cam.example:554/live"),
        ("rtsp://ada:secret@cam.example/live", "rtsp://***@cam.example/live"),
        ("rtsp://ada:s@cr:t@cam.example/live", "rtsp://***@cam.example/live"),
        ("http://secret@cam.example/mjpeg", "http://***@cam.example/mjpeg"),
        ("https://cam.example/video?user=ada&pwd=secret#secret", "https://cam.example/video?***"),
        ("rtsp://[2001:db8::7]:554/", "rtsp://[2001:db8::7]:554/"),
    ],
)
def test_a_url_is_shown_without_what_may_be_a_secret(source: str, shown: str) -> None:
    address = live_address(source)
    assert address is not None
    assert address.target == source.replace("RTSP", "rtsp")
    for text in (str(address), repr(address), address.name):
        assert shown in text
        assert "secret" not in text


def test_a_device_of_this_machine_is_opened_as_video4linux() -> None:
    for path in ("/dev/video0", "/dev/v4l/by-id/usb-camera-index0"):
        for source in (path, Path(path)):
            address = live_address(source)
            assert address is not None
            assert (address.target, address.format, address.host) == (path, "v4l2", None)


def test_a_camera_cannot_lead_to_files_of_this_machine() -> None:
    for source in ("rtsp://cam.example/", "http://cam.example/list.m3u8"):
        address = live_address(source)
        assert address is not None
        assert "file" not in address.options["protocol_whitelist"].split(",")


@pytest.mark.parametrize(
    "source", ["rtsp://", "http://:80/", "rtsp://ada:secret@/", "rtsp://h:port/", "http://[::1"]
)
def test_a_url_without_a_host_is_refused_without_being_repeated(source: str) -> None:
    with pytest.raises(ClipError, match="no host") as refused:
        live_address(source)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "source", ["rtmp://ada:secret@cam.example/live", "SRT://h:1?passphrase=secret", "file:///secret"]
)
def test_a_url_of_another_kind_is_refused_with_those_that_are_taken(source: str) -> None:
    with pytest.raises(ClipError, match="none of rtsp, rtsps, http, https") as refused:
        live_address(source)
    assert "secret" not in str(refused.value)
