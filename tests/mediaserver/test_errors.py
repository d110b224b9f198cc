"""The tree of errors, and each kind of trouble as a user meets it: one line on stderr, and an exit status."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from mediaserver.cli.main import _parser, main
from mediaserver.client.clip import ClipError
from mediaserver.client.errors import ClientError
from mediaserver.errors import (
    AddressError,
    LicenceError,
    MissingPackage,
    ModelError,
    OutputError,
    SettingsError,
    UnreadableFile,
    UserError,
    is_out_of_memory,
    reading,
    writing,
)
from mediaserver.models.download import DownloadError
from mediaserver.models.local_triton import TritonServerError
from mediaserver.packages import pip_install, required_by
from mediaserver.telemetry.cloudwatch import INSTANCE_VARIABLE, HeartbeatError
from tests.support.clips import picture
from tests.support.tiny_models import DETECTOR

LONG = 300 * "x"
"""No file system has a file of this name."""


@pytest.mark.parametrize(
    ("status", "kinds"),
    [
        (1, {OutputError, ClientError, ClipError, DownloadError, TritonServerError, HeartbeatError}),
        (2, {SettingsError, AddressError, ModelError, LicenceError, MissingPackage, UnreadableFile}),
    ],
)
def test_what_cannot_be_asked_for_ends_with_2_and_the_rest_with_1(
    status: int, kinds: set[type[UserError]]
) -> None:
    assert {kind.exit_status for kind in kinds} == {status}


def test_files_are_named_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "none" / "file"
    with (
        pytest.raises(OutputError, match=r"^cannot write .*/none/file: No such file or directory$"),
        writing(path),
    ):
        path.write_text("")
    with (
        pytest.raises(UnreadableFile, match=r"^cannot read .*/none/file: No such file or directory$"),
        reading(path),
    ):
        path.read_text()


@dataclass(frozen=True)
class Trouble:
    """A command that cannot be carried out. In braces: what `places` has."""

    kind: type[UserError]
    words: str
    command: str
    environment: dict[str, str] = field(default_factory=dict)


TROUBLES = [
    Trouble(SettingsError, "setting 'port' on the command line is 'many'", "serve --port many"),
    Trouble(SettingsError, "is '~nobody-here/models'; allowed: a path", "serve --models ~nobody-here/models"),
    Trouble(SettingsError, "cannot read the configuration file", "serve --config {folder}/none.toml"),
    Trouble(SettingsError, "names no address of this machine", "serve --ice-interfaces nowhere0"),
    Trouble(AddressError, "already in use", "serve --models {models} --port {taken}"),
    Trouble(AddressError, "already in use", "serve --models {models} --port {taken} --workers 2"),
    Trouble(
        SettingsError, "allowed: an IP address or a host name", f"serve --allow-anonymous 1 --host {LONG}"
    ),
    Trouble(SettingsError, "allowed: an IP address or a host name", "doctor", {"MEDIASERVER_HOST": LONG}),
    Trouble(SettingsError, "'triton_urls'", "doctor", {"MEDIASERVER_TRITON_URLS": f"{LONG}:8001"}),
    Trouble(ModelError, "none does not exist", "serve --models {folder}/none"),
    Trouble(ModelError, "File name too long", f"serve --models {LONG}"),
    Trouble(ModelError, "none does not exist", "triton repository {folder}/out --models {folder}/none"),
    Trouble(ModelError, "ONNX Runtime cannot load it", "models check {file}"),
    Trouble(ModelError, "no model 'yolo99' in the catalogue", "models pull yolo99"),
    Trouble(LicenceError, "which must be accepted", "models pull yolo11n"),
    Trouble(MissingPackage, "the package 'ultralytics'", "models export weights.pt --image {picture}"),
    Trouble(UnreadableFile, "no picture that can be read", "models export {detector} --image {file}"),
    Trouble(UnreadableFile, "File name too long", f"models export {{detector}} --image {LONG}"),
    Trouble(
        OutputError, "No space left on device", "models export {detector} --image {picture} --out /dev/full"
    ),
    Trouble(
        OutputError, "No such file", "models export {detector} --image {picture} --out {folder}/none/out.onnx"
    ),
    Trouble(OutputError, "Not a directory", "models add {detector} --models {file}/models"),
    Trouble(OutputError, "Not a directory", "models pull yolox_nano", {"XDG_CACHE_HOME": "{file}"}),
    Trouble(OutputError, "No such file or directory", "models pull yolox_nano", {"XDG_CACHE_HOME": "/proc"}),
    Trouble(OutputError, "Not a directory", "triton repository {file}/out --models {models}"),
    Trouble(OutputError, "its folder is not there", "replay {clip} --out {folder}/none/results.jsonl"),
    Trouble(OutputError, "its folder is not there", "replay {clip} --annotate {folder}/none/clip.mp4"),
    Trouble(ClientError, "no server answers", "replay {clip} --url ws://127.0.0.1:9/ws/inference"),
    Trouble(ClientError, "no server answers", f"replay {{clip}} --url ws://{LONG}/ws/inference"),
    Trouble(
        DownloadError, "no such file", "models pull yolox_nano", {"MEDIASERVER_MODEL_MIRROR": "{folder}/none"}
    ),
    Trouble(
        DownloadError, "Is a directory", "models pull yolox_nano", {"MEDIASERVER_MODEL_MIRROR": "{mirror}"}
    ),
    Trouble(TritonServerError, "cannot fetch nvidia-pytriton", "triton fetch", {"PIP_NO_INDEX": "1"}),
    Trouble(HeartbeatError, "no media server answers", "heartbeat", {INSTANCE_VARIABLE: "i-0123456789"}),
]


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        yield taken.getsockname()[1]


@pytest.fixture
def places(
    tmp_path: Path, tiny_models: Path, clip: Path, taken_port: int, monkeypatch: pytest.MonkeyPatch
) -> dict[str, object]:
    """What the commands name, in an environment without settings, where no optional package is installed but
    the exporter is said to be there."""
    for name in [name for name in os.environ if name.startswith("MEDIASERVER_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MEDIASERVER_PORT", "9")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setitem(sys.modules, "ultralytics", None)
    monkeypatch.setattr("mediaserver.models.pull.has_exporter", lambda: True)
    (tmp_path / "mirror" / "yolox_nano.onnx").mkdir(parents=True)
    (tmp_path / "file").write_text("just text")
    cv2.imwrite(str(tmp_path / "picture.png"), picture(0)[:, :, ::-1])
    return {
        "folder": tmp_path,
        "file": tmp_path / "file",
        "mirror": tmp_path / "mirror",
        "picture": tmp_path / "picture.png",
        "models": tiny_models,
        "detector": tiny_models / f"{DETECTOR}.onnx",
        "clip": clip,
        "taken": taken_port,
    }


@pytest.mark.usefixtures("root_logger")
@pytest.mark.parametrize(
    "trouble", TROUBLES, ids=[f"{item.kind.__name__} {item.command[:40]}" for item in TROUBLES]
)
def test_trouble_is_one_line_and_an_exit_status(
    trouble: Trouble,
    places: dict[str, object],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in trouble.environment.items():
        monkeypatch.setenv(name, value.format(**places))
    arguments = [word.format(**places) for word in trouble.command.split()]
    parsed = _parser().parse_args(arguments)
    with pytest.raises(trouble.kind) as raised:
        parsed.run(parsed)
    assert trouble.words in str(raised.value)
    capsys.readouterr()

    assert main(arguments) == trouble.kind.exit_status
    *progress, line = capsys.readouterr().err.splitlines()
    assert line == f"mediaserver: {raised.value}"
    assert all("connecting" in words or " INFO " in words for words in progress)


@pytest.mark.parametrize(
    "command", ["models export {detector} --image {picture}", "triton repository {folder}/out"]
)
def test_an_optional_package_is_named_with_what_installs_it(
    command: str,
    places: dict[str, object],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("onnx_export", "triton_repository"):
        monkeypatch.delitem(sys.modules, f"mediaserver.models.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert main([word.format(**places) for word in command.split()]) == MissingPackage.exit_status
    told = capsys.readouterr().err
    assert told == f"mediaserver: this needs the package 'onnx': {pip_install(required_by('export'))}\n"


@pytest.mark.parametrize("command", ["models list", "models catalogue", "heartbeat"])
@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("/dev/full", "mediaserver: cannot write to standard output: No space left on device\n"),
        ("closed", ""),
    ],
)
def test_standard_output_that_takes_nothing_ends_the_command(command: str, output: str, words: str) -> None:
    """A full disk is told; who reads no more, as ``head``, is not."""
    reader, writer = os.pipe()
    os.close(reader)
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("MEDIASERVER_") and name not in (INSTANCE_VARIABLE, "PYTHONUNBUFFERED")
    }
    with os.fdopen(writer, "w") as closed, open("/dev/full", "w") as full:
        completed = subprocess.run(
            [sys.executable, "-m", "mediaserver", *command.split()],
            stdout=closed if output == "closed" else full,
            stderr=subprocess.PIPE,
            env=environment,
            text=True,
            timeout=60,
            check=False,
        )
    assert (completed.returncode, completed.stderr) == (1, words)


def of_opencv() -> BaseException:
    """Asks for more than any machine has."""
    with pytest.raises(cv2.error) as raised:
        cv2.copyMakeBorder(np.zeros((1, 1), np.uint8), 0, 2**30, 0, 2**30, cv2.BORDER_CONSTANT)
    return raised.value


def of_numpy() -> BaseException:
    with pytest.raises(MemoryError) as raised:
        np.zeros(2**50, np.uint8)
    return raised.value


def test_each_library_has_its_own_words() -> None:
    for error in (
        of_opencv(),
        of_numpy(),
        MemoryError(),
        av.error.MemoryError(errno.ENOMEM, "Cannot allocate memory"),
        av.error.BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        RuntimeError("can't start new thread"),
        ImportError("libx.so: failed to map segment from shared object: Cannot allocate memory"),
        ExceptionGroup("several", [ValueError(), MemoryError()]),
    ):
        assert is_out_of_memory(error), error


def test_other_errors_are_others() -> None:
    with pytest.raises(cv2.error) as raised:
        cv2.resize(np.zeros((0, 0), np.uint8), (4, 4))
    for error in (raised.value, ValueError(), OSError(errno.ENOENT, "no such file"), RuntimeError("closed")):
        assert not is_out_of_memory(error), error
