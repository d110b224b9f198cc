from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from mediaserver.models.local_triton import TritonServerError, fetch
from tests.support.clips import write_clip
from tests.support.tiny_models import write_tiny_models

TESTS = Path(__file__).resolve().parent
SHARED = TESTS.parents[1] / "shared"
SLOW = (
    # Servers with clients in real time, browsers, a machine that boots.
    *("e2e", "web", "boot", "interop/test_chromium.py", "interop/test_webrtcbin.py"),
    # The command, its workers and an AWS, each in a process of its own.
    *("mediaserver/cli", "mediaserver/test_errors.py", "lambdas/test_dev.py"),
    *("mediaserver/server/test_run.py", "mediaserver/server/test_supervisor.py"),
    # Clips, bad networks and clients that dawdle, in real time.
    *("mediaserver/client/test_client.py", "mediaserver/client/test_every_frame.py"),
    *(
        "mediaserver/client/test_moving.py",
        "mediaserver/client/test_live_player.py",
        "mediaserver/webrtc/test_receiver.py",
    ),
    "mediaserver/server/test_http_connection.py",
    # Several servers and an Envoy before them.
    "fleet",
    # Thousands of inputs; days of the machine on demand, simulated.
    *("fuzz", "lambdas/test_simulation.py"),
    # Networks of their own, and outages in real time.
    "network",
    # Virtual environments, package indexes, cfn-lint.
    *("deploy/test_lock.py", "deploy/test_install_locked.py", "lambdas/test_template.py"),
)
SLOW_FIXTURES = {"triton_binary", "models_dir", "media_dir"}
ALONE = (
    # Browsers, and servers with clients, in real time: beside others they would measure those.
    *("e2e", "web", "fleet", "interop/test_chromium.py", "mediaserver/webrtc/test_receiver.py"),
    *("network/test_stage.py", "network/test_lossy.py"),
)
NETWORK = ("network/test_narrow.py", "network/test_interrupted.py", "network/test_words.py")


def pytest_configure() -> None:
    """A shell starts its background jobs with SIGINT ignored, and children inherit that. Ctrl-C is tested."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what `make test-unit` leaves out, and what `make test` runs after the others, by itself."""
    slow, alone, network = ([TESTS / name for name in names] for names in (SLOW, ALONE, NETWORK))
    for path in (*slow, *alone, *network):
        if not path.exists():
            raise pytest.UsageError(f"{__file__} names {path}, which is not there")
    for item in items:
        fixtures = SLOW_FIXTURES.intersection(getattr(item, "fixturenames", ()))
        if fixtures or any(item.path.is_relative_to(path) for path in slow):
            item.add_marker(pytest.mark.slow)
        if any(item.path.is_relative_to(path) for path in alone):
            item.add_marker(pytest.mark.alone)
        if item.path in network:
            item.add_marker(pytest.mark.network)


def _directory(variable: str, name: str) -> Path:
    path = Path(os.environ.get(variable, SHARED / name))
    if not path.is_dir():
        pytest.skip(f"no directory {path}; set {variable}")
    return path


@pytest.fixture(scope="session")
def models_dir() -> Path:
    """Test models, each described in SOURCES.md beside them."""
    return _directory("MEDIASERVER_MODELS", "models")


@pytest.fixture(scope="session")
def media_dir() -> Path:
    """Test clips: people.mp4, pose.mp4, text.mp4, mixed.mp4 and text.json."""
    return _directory("MEDIASERVER_MEDIA", "media")


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder that needs no download: red and blue blobs are objects, a green one is a person."""
    return write_tiny_models(tmp_path_factory.mktemp("tiny_models"))


@pytest.fixture(scope="session")
def triton_binary() -> Path:
    """A real Triton for this machine's processor, fetched once for all runs."""
    try:
        return fetch()
    except TritonServerError as exc:
        pytest.skip(str(exc))


@pytest.fixture
def root_logger() -> Iterator[logging.Logger]:
    """Afterwards logging is as it was: for tests of what sets it up."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield root
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds of moving squares, 640×480 at 30 fps, with `tests.support.clips.truth`."""
    return write_clip(tmp_path_factory.mktemp("clips") / "squares.mp4", seconds=3)


@pytest.fixture(scope="session")
def jpeg() -> bytes:
    """A 320×240 picture with a red square in it."""
    picture = np.full((240, 320, 3), 90, np.uint8)
    picture[80:160, 100:180] = (0, 0, 255)
    return bytes(cv2.imencode(".jpg", picture)[1])
