"""A camera that gives MJPEG by HTTP, played live."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web

from mediaserver.child_process import free_ports
from mediaserver.client.clip import ClipError
from mediaserver.client.live_address import LiveAddress, live_address
from mediaserver.client.live_feed import LiveFeed, connect
from mediaserver.client.live_player import LivePlayer
from signaling.jpeg import Orientation
from tests.support.clips import write_clip
from tests.support.mjpeg_camera import MjpegCamera, mjpeg_camera, number_in, picture
from tests.support.odd_clips import write_odd_clip
from tests.support.waiting import eventually


@pytest_asyncio.fixture
async def camera() -> AsyncIterator[MjpegCamera]:
    async with mjpeg_camera() as running:
        yield running


def address(url: str) -> LiveAddress:
    live = live_address(url)
    assert live is not None
    return live


def player(
    url: str, duration_s: float | None = None, on_notice: Callable[[str], None] = lambda words: None
) -> LivePlayer:
    return LivePlayer(address(url), duration_s, on_notice)


def live_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("live-")]


async def test_frames_come_with_times_that_go_forward_and_nothing_is_left_running(
    camera: MjpegCamera,
) -> None:
    async with player(camera.url) as playing:
        frames = [await playing.next_frame() for _ in range(10)]
        assert [frame.width for frame in frames if frame is not None] == [256] * 10
        times = [frame.time for frame in frames if frame is not None and frame.time is not None]
        assert times == sorted(set(times))
        assert playing.position_s == pytest.approx(times[-1], abs=0.01)
        assert len(live_threads()) == 2
    assert not live_threads()


async def test_who_is_slow_gets_the_newest_frame_and_the_delay_does_not_grow(camera: MjpegCamera) -> None:
    async with player(camera.url) as playing:
        behind = []
        for _ in range(8):
            await asyncio.sleep(0.3)
            frame = await playing.next_frame()
            assert frame is not None
            behind.append(camera.newest - number_in(frame))
        assert max(behind) <= 6, "of the nine that came meanwhile"
        assert playing.skipped > 30


async def test_decoding_that_is_slow_leaves_out_what_is_old(camera: MjpegCamera) -> None:
    """As on a machine that cannot decode as fast as the camera sends."""
    behind: list[int] = []

    def take(frame: object) -> None:
        time.sleep(0.2)
        behind.append(camera.newest - number_in(frame))  # type: ignore[arg-type]

    opened = await asyncio.to_thread(connect, address(camera.url))
    feed = LiveFeed(address(camera.url), opened, take, lambda words: None)
    await eventually(lambda: len(behind) >= 10)
    await asyncio.to_thread(feed.close)
    assert max(behind) <= 12, "what came while it was decoded, and one more"
    assert feed.left_out > 20


async def test_no_more_frames_are_given_than_are_asked_for(camera: MjpegCamera) -> None:
    async with player(camera.url, duration_s=2.0) as playing:
        playing.max_framerate, playing.scale_resolution_down_by = 5.0, 2.0
        frames = []
        while (frame := await playing.next_frame()) is not None:
            frames.append(frame)
    assert 2 <= len(frames) <= 11
    assert {(frame.width, frame.height) for frame in frames} == {(128, 32)}


async def test_it_ends_after_its_duration_also_where_nothing_comes(
    camera: MjpegCamera, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("_OPEN_TIMEOUT_S", "_READ_TIMEOUT_S"):
        monkeypatch.setattr(f"mediaserver.client.live_feed.{name}", 0.5)
    async with player(camera.url, duration_s=1.0) as playing:
        assert await playing.next_frame() is not None
        camera.silent = True
        async with asyncio.timeout(5):
            while await playing.next_frame() is not None:
                pass


async def test_a_camera_that_is_lost_is_connected_to_again(
    camera: MjpegCamera, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mediaserver.client.live_feed._BACKOFF_FIRST_S", 0.1)
    notices: list[str] = []
    async with player(camera.url, on_notice=notices.append) as playing:
        assert await playing.next_frame() is not None
        await camera.stop()
        await eventually(lambda: notices)
        assert notices == [f"{camera.url}: has ended the stream; connecting again"]
        await camera.start()
        await eventually(lambda: len(notices) == 2, 20)
        assert notices[1] == f"{camera.url}: connected again"
        for _ in range(5):
            frame = await playing.next_frame()
        assert frame is not None
        assert camera.newest - number_in(frame) <= 6
    assert camera.connections == 2


async def test_a_camera_that_ends_each_connection_at_once_is_asked_less_and_less(
    camera: MjpegCamera, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mediaserver.client.live_feed._BACKOFF_FIRST_S", 0.1)
    camera.ends_after = 5
    lost: list[float] = []

    def note(words: str) -> None:
        if "connecting again" in words:
            lost.append(time.monotonic())

    async with player(camera.url, on_notice=note):
        await eventually(lambda: len(lost) == 6, 30)
    assert lost[-1] - lost[-2] > 0.8 * 0.1 * 2**4, "the fifth pause is that much longer than the first"


async def test_a_camera_that_is_turned_is_seen_upright(camera: MjpegCamera) -> None:
    camera.orientation = Orientation.TURNED_90
    async with player(camera.url) as playing:
        frame = await playing.next_frame()
    assert frame is not None
    assert (frame.width, frame.height) == (64, 256)


async def test_a_camera_that_falls_silent_is_connected_to_again(
    camera: MjpegCamera, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mediaserver.client.live_feed._READ_TIMEOUT_S", 0.5)
    monkeypatch.setattr("mediaserver.client.live_feed._BACKOFF_FIRST_S", 0.1)
    notices: list[str] = []
    async with player(camera.url, on_notice=notices.append) as playing:
        assert await playing.next_frame() is not None
        camera.silent = True
        await eventually(lambda: notices)
        assert "does not answer; connecting again" in notices[0]
        camera.silent = False
        await eventually(lambda: camera.connections >= 2 and len(notices) >= 2, 20)


async def test_passwords_open_the_camera_and_are_seen_nowhere(
    camera: MjpegCamera, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    camera.password = "ada:hunter2"
    notices: list[str] = []
    async with player(camera.url.replace("//", "//ada:hunter2@"), on_notice=notices.append) as playing:
        assert await playing.next_frame() is not None
        await camera.stop()
        await eventually(lambda: notices)
    await camera.start()
    with pytest.raises(ClipError, match=r"refuses this user and password \(401\)") as refused:
        await player(camera.url.replace("//", "//ada:hunter3@")).__aenter__()
    chain = [refused.value, refused.value.__cause__]
    seen = [*notices, *map(repr, chain), caplog.text, *capfd.readouterr()]
    assert refused.value.__suppress_context__, "FFmpeg's own message has the URL"
    assert "hunter" not in " ".join(seen)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:{port}/mjpeg", "nothing listens there"),
        ("rtsp://127.0.0.1:{port}/camera", "nothing listens there"),
        ("rtsp://camera.invalid/", "no host of this name"),
        ("/dev/video99", "no such device"),
    ],
)
async def test_what_cannot_be_reached_is_named_with_the_reason(url: str, words: str) -> None:
    [port] = free_ports(1)
    with pytest.raises(ClipError, match=words):
        await player(url.format(port=port)).__aenter__()
    assert not live_threads()


async def test_what_is_no_live_video_is_refused_with_words(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", seconds=1)
    (tmp_path / "page.html").write_text("hello" * 500)
    (tmp_path / "snapshot.jpg").write_bytes(picture(1))
    unknown = write_odd_clip(tmp_path / "unknown.webm", codec="libvpx").read_bytes()
    (tmp_path / "unknown.webm").write_bytes(unknown.replace(b"V_VP8", b"V_XYZ"))
    app = web.Application()
    app.router.add_static("/files", tmp_path)
    runner = web.AppRunner(app)
    await runner.setup()
    [port] = free_ports(1)
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        for path, words in (
            ("files/page.html", "sends no video"),
            ("nothing", "404"),
            (f"files/{clip.name}", "is a recording: download it"),
            ("files/snapshot.jpg", "is one picture"),
            ("files/unknown.webm", "has no video that can be decoded"),
        ):
            with pytest.raises(ClipError, match=words):
                await player(f"http://127.0.0.1:{port}/{path}").__aenter__()
    finally:
        await runner.cleanup()
