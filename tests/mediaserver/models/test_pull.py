"""``mediaserver models pull`` as a user meets it, from a mirror of our own."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import onnx
import psutil
import pytest

from inference.engines.contract import Task
from mediaserver.cli.main import main
from mediaserver.models import pull as model_pull
from mediaserver.models.sources import SOURCES, ModelSource, SourceFile
from tests.support.tiny_models import tiny_detector, tiny_pose
from tests.support.waiting import eventually

NAME, LICENSED = "tiny", "tiny-pose"


class Terminal(io.StringIO):
    """Somebody who types."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two models that stand in the catalogue, the second under a licence to accept; and an
    empty cache."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    for name, task, model, licence in (
        (NAME, Task.DETECT, tiny_detector(), "Apache-2.0"),
        (LICENSED, Task.POSE, tiny_pose(), "AGPL-3.0"),
    ):
        path = folder / f"{name}.onnx"
        onnx.save(model, path)
        checksum = hashlib.sha256(path.read_bytes()).hexdigest()
        url = f"https://nowhere.invalid/{path.name}"
        file = SourceFile(url, path.stat().st_size, checksum)
        monkeypatch.setitem(SOURCES, name, ModelSource(task, (file,), licence, "made by us"))
    monkeypatch.setenv("MEDIASERVER_MODEL_MIRROR", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("MEDIASERVER_MODELS", raising=False)
    return folder


@pytest.fixture
def cache(mirror: Path, tmp_path: Path) -> Path:
    return tmp_path / "cache" / "mediaserver" / "models"


def test_a_pulled_model_is_checked_and_used(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "pull", NAME]) == 0
    shown = capsys.readouterr().out
    assert "tiny: Apache-2.0" in shown
    assert "made by us" in shown
    assert "tiny: detect, ultralytics-detect head, 2 classes, looks at 320×256" in shown
    assert sorted(path.name for path in cache.iterdir()) == ["tiny.licence.txt", "tiny.onnx"]
    assert (cache / "tiny.licence.txt").read_text() == "Apache-2.0\nmade by us\n"

    assert main(["models", "list"]) == 0
    assert f"{cache / 'tiny.onnx'}  pulled, used for detect" in capsys.readouterr().out
    assert main(["models", "catalogue"]) == 0
    assert any("tiny " in line and "pulled" in line for line in capsys.readouterr().out.splitlines())
    assert main(["models", "pull", NAME]) == 0
    assert "tiny is there already" in capsys.readouterr().out


def test_your_own_folder_comes_first_and_the_rest_is_told(
    cache: Path, tiny_models: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MEDIASERVER_MODELS", str(tiny_models))
    assert main(["models", "pull", NAME]) == 0
    assert "comes before it; MEDIASERVER_DETECT_MODEL=tiny takes this one" in capsys.readouterr().out
    monkeypatch.setenv("MEDIASERVER_DETECT_MODEL", NAME)
    assert main(["models", "list"]) == 0
    assert f"{cache / 'tiny.onnx'}  pulled, used for detect" in capsys.readouterr().out


def test_a_licence_that_is_not_permissive_must_be_accepted(
    cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    assert main(["models", "pull", LICENSED]) == 2
    refused = capsys.readouterr()
    assert "AGPL-3.0: if you let others use it" in refused.out
    assert "which must be accepted: pass --accept-licence" in refused.err

    monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
    assert main(["models", "pull", LICENSED]) == 2
    assert "its licence AGPL-3.0 was not accepted" in capsys.readouterr().err
    assert not cache.exists()


def test_one_ctrl_c_at_the_question_is_enough(tmp_path: Path) -> None:
    """In a process with a terminal of its own, as if the exporter, which is looked for first, were there."""
    program = (
        # As a shell starts it at a terminal; where the tests run in the background, SIGINT is ignored.
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from mediaserver.models import pull; pull.has_exporter = lambda: True; "
        "from mediaserver.cli.main import main; sys.exit(main(['models', 'pull', 'yolo11n-pose']))"
    )
    ours, its = pty.openpty()
    with open(ours, "rb", buffering=0) as terminal, open(its, "rb", buffering=0) as stdin:
        environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path)}
        command = [sys.executable, "-c", program]
        with subprocess.Popen(command, stdin=stdin, stdout=stdin, stderr=stdin, env=environment) as process:
            try:
                said = b""
                while b"Accept this licence?" not in said:
                    said += terminal.read(1024)
                child = psutil.Process(process.pid)
                asyncio.run(
                    eventually(lambda: child.status() == psutil.STATUS_SLEEPING)
                )  # it reads the answer
                process.send_signal(signal.SIGINT)
                assert process.wait(20) == 130
            finally:
                process.kill()
    assert not (tmp_path / "mediaserver").exists()


@pytest.mark.parametrize("answer", [None, "y\n"])
def test_it_can_be_accepted_beforehand_or_when_asked(
    cache: Path, answer: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(answer) if answer else io.StringIO())
    assert main(["models", "pull", LICENSED, *([] if answer else ["--accept-licence"])]) == 0
    assert (cache / "tiny-pose.onnx").is_file()


def test_offline_one_line_names_the_fallback(
    cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("MEDIASERVER_MODEL_MIRROR")
    assert main(["models", "pull", NAME]) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert "nowhere.invalid cannot be reached" in lines[0]
    assert "built-in models stay in use" in lines[0]


def test_an_unknown_name_is_answered_with_the_known_ones(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "pull", "yolo99"]) == 2
    assert (
        "no model 'yolo99' in the catalogue; it has nanodet_g, movenet_multipose" in capsys.readouterr().err
    )


def test_a_mirror_with_another_file_is_refused(
    cache: Path, mirror: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = mirror / "tiny.onnx"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert main(["models", "pull", NAME]) == 1
    assert "not the file that was expected" in capsys.readouterr().err
    assert list(cache.iterdir()) == []


def test_weights_are_made_an_onnx_file_or_nothing(
    cache: Path, models_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Real weights; the exporter, which is not installed with the tests, is stood in for."""
    if not (models_dir / "yolo11n-pose.pt").is_file():
        pytest.skip(f"no yolo11n-pose.pt in {models_dir}")
    monkeypatch.setenv("MEDIASERVER_MODEL_MIRROR", str(models_dir))
    arguments = ["models", "pull", "yolo11n-pose", "--accept-licence"]
    monkeypatch.setattr(model_pull, "has_exporter", lambda: False)
    assert main(arguments) == 2
    told = capsys.readouterr().err
    assert "-m pip install 'onnx<2," in told
    assert "'ultralytics<9," in told

    monkeypatch.setattr(model_pull, "has_exporter", lambda: True)
    monkeypatch.setitem(sys.modules, "ultralytics", SimpleNamespace(YOLO=Exporter))
    assert main(arguments) == 0
    assert "looks at 320×256" in capsys.readouterr().out
    assert sorted(path.name for path in cache.iterdir()) == ["yolo11n-pose.licence.txt", "yolo11n-pose.onnx"]


class Exporter:
    """Writes a small pose model beside the weights, as Ultralytics writes the real one."""

    def __init__(self, weights: Path) -> None:
        assert weights.stat().st_size == SOURCES["yolo11n-pose"].size
        self._out = weights.with_suffix(".onnx")

    def export(self, *, format: str, dynamic: bool) -> str:
        assert (format, dynamic) == ("onnx", True)
        onnx.save(tiny_pose(), self._out)
        return str(self._out)
