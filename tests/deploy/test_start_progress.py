"""What the machine tells of its start, against an engine that speaks Docker's API, and read back by the
functions."""

from __future__ import annotations

import json
import os
import socketserver
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.deploy.programs import Programs

AWS = Path(__file__).parents[2] / "deploy" / "aws"
IMAGE = "nvcr.io/nvidia/tritonserver:25.06-py3@sha256:75bc"
TRITON_LOG = """\
I1225 10:41:12.667006 138 model_lifecycle.cc:473] "loading: detect:1"
I1225 10:41:12.667106 138 model_lifecycle.cc:473] "loading: pose:1"
I1225 10:41:14.331226 138 model_lifecycle.cc:849] "successfully loaded 'detect'"
"""


def layer(name: str, status: str, **detail: int) -> dict[str, Any]:
    return {"status": status, "id": name, "progressDetail": detail}


PULL = [
    {"status": "Pulling from nvidia/tritonserver", "id": "25.06-py3"},
    layer("a", "Pulling fs layer"),
    layer("b", "Already exists"),
    layer("a", "Downloading", current=100, total=1000),
    layer("c", "Downloading", current=50, total=500),
    layer("a", "Downloading", current=900, total=1000),
    layer("a", "Verifying Checksum"),
    layer("a", "Download complete"),
    layer("a", "Extracting", current=10, total=1000),
    layer("c", "Download complete"),
]


@contextmanager
def engine(folder: Path, lines: list[dict[str, Any]], status: int = 200) -> Iterator[Path]:
    """Docker's engine on a socket of its own; ``asked`` beside it holds the paths."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            (folder / "asked").write_text(self.path)
            self.send_response(status)
            self.end_headers()
            for line in lines:
                self.wfile.write(json.dumps(line).encode() + b"\r\n")

        def address_string(self) -> str:
            return "docker"

        def log_message(self, *_: object) -> None:
            pass

    path = folder / "docker.sock"
    with socketserver.ThreadingUnixStreamServer(str(path), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield path
        server.shutdown()
        thread.join()


@contextmanager
def readyz(status: int) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/readyz"
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(AWS))


class TestPull:
    def test_counts_what_has_come_of_what_is_known(self) -> None:
        from start_progress.docker_pull import Layers

        layers, seen = Layers(), []
        for line in PULL:
            layers.take(line)
            seen.append((layers.done, layers.total))
        assert seen[3:5] == [(100, 1000), (150, 1500)]
        # "Extracting" counts from the start again; what has come stays.
        assert seen[-1] == (1500, 1500)

    def test_asks_the_engine_for_the_very_image(self, tmp_path: Path) -> None:
        from start_progress.docker_pull import pull

        told: list[int] = []
        with engine(tmp_path, PULL) as path:
            pull(IMAGE, lambda layers: told.append(layers.done), str(path))
        assert max(told) == 1500
        assert (
            (tmp_path / "asked")
            .read_text()
            .startswith("/images/create?fromImage=nvcr.io%2Fnvidia%2Ftritonserver")
        )

    @pytest.mark.parametrize(
        ("lines", "status", "words"),
        [
            ([*PULL[:4], {"error": "toomanyrequests"}], 200, "toomanyrequests"),
            ([{"message": "no such"}], 404, "404"),
        ],
    )
    def test_a_refusal_is_told(
        self, tmp_path: Path, lines: list[dict[str, Any]], status: int, words: str
    ) -> None:
        from start_progress.docker_pull import PullFailed, pull

        with engine(tmp_path, lines, status) as path, pytest.raises(PullFailed, match=words):
            pull(IMAGE, lambda _: None, str(path))

    def test_without_an_engine_says_so(self, tmp_path: Path) -> None:
        from start_progress.docker_pull import PullFailed, pull

        with pytest.raises(PullFailed, match="No such file"):
            pull(IMAGE, lambda _: None, str(tmp_path / "nowhere"))


class TestFacts:
    def look(self, state: Path, url: str = "http://127.0.0.1:9/") -> tuple[str, str, int, int]:
        from start_progress.facts import look

        facts = look(state, state / "triton", url)
        return facts.phase, facts.step, facts.done, facts.total

    def test_the_longest_thing_is_named(self, tmp_path: Path) -> None:
        assert self.look(tmp_path) == ("starting", "", 0, 0)
        (tmp_path / "step").write_text("packages\n")
        assert self.look(tmp_path) == ("installing", "packages", 0, 0)
        (tmp_path / "pull.json").write_text('{"done": 6, "total": 15}')
        assert self.look(tmp_path) == ("pulling", "", 6, 15)
        (tmp_path / "failed").write_text("certificate")
        assert self.look(tmp_path) == ("failed", "certificate", 0, 0)

    def test_triton_s_log_says_how_many_models_are_loaded(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for model in ("detect", "pose", "ocr_det"):
            (tmp_path / "triton" / model).mkdir(parents=True)
            (tmp_path / "triton" / model / "config.pbtxt").touch()
        programs = Programs(tmp_path / "bin")
        programs.add("journalctl", f"cat <<'END'\n{TRITON_LOG}END")
        monkeypatch.setenv("PATH", f"{programs.folder}:{os.environ['PATH']}")
        with readyz(503) as url:
            assert self.look(tmp_path, url) == ("loading", "", 1, 3)

    def test_the_server_has_the_last_word(self, tmp_path: Path) -> None:
        with readyz(200) as url:
            assert self.look(tmp_path, url)[0] == "ready"


class TestWatch:
    @pytest.fixture
    def programs(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Programs:
        programs = Programs(tmp_path / "bin")
        programs.add("aws", "echo '{\"again\": [10, 20, 30, 40, 50]}'")
        programs.add("journalctl")
        monkeypatch.setenv("PATH", f"{programs.folder}:{os.environ['PATH']}")
        return programs

    def watch(
        self, monkeypatch: pytest.MonkeyPatch, state: Path, *options: str, uptime: Iterable[float]
    ) -> int:
        """With a machine that has been on for so long each time that it is looked at."""
        from start_progress import __main__, facts

        seconds = iter(uptime)
        monkeypatch.setattr(facts, "uptime_s", lambda: next(seconds))
        monkeypatch.setattr(__main__, "_LOOK_EVERY_S", 0)
        whose = ["--stack", "gpu", "--instance", "i-1", "--limit-s", "2400"]
        return __main__.main(["--state", str(state), "watch", *whose, *options])

    def put(self, programs: Programs, name: str) -> dict[str, Any]:
        (call,) = programs.called(f"aws ssm put-parameter --name /mediaserver/gpu/{name}")
        value: dict[str, Any] = json.loads(call.partition("--value ")[2])
        return value

    def test_a_server_that_is_ready_ends_it_and_the_start_is_remembered(
        self, programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with readyz(200) as url:
            assert self.watch(monkeypatch, tmp_path, "--readyz", url, uptime=(30, 95)) == 0
        boot = self.put(programs, "boot")
        assert (boot["instance"], boot["phase"], boot["first"]) == ("i-1", "ready", False)
        assert boot["ready_at"]
        # The oldest is forgotten.
        assert self.put(programs, "starts")["again"] == [20, 30, 40, 50, 95]

    def test_an_upgrade_of_a_machine_that_is_on_is_no_start(
        self, programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with readyz(200) as url:
            assert self.watch(monkeypatch, tmp_path, "--readyz", url, uptime=(7200,)) == 0
        assert not programs.called("aws ssm put-parameter --name /mediaserver/gpu/starts")

    def test_a_step_that_failed_ends_it(
        self, programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "failed").write_text("certificate")
        assert self.watch(monkeypatch, tmp_path, "--first", uptime=(30,)) == 1
        boot = self.put(programs, "boot")
        assert (boot["phase"], boot["step"], boot["first"]) == ("failed", "certificate", True)

    @pytest.mark.parametrize("uptime", [(30, 100, 2401), (7200, 7300, 9601)], ids=["start", "upgrade"])
    def test_what_lasts_too_long_ends_it(
        self,
        programs: Programs,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        uptime: tuple[float, ...],
    ) -> None:
        nobody = ("--readyz", "http://127.0.0.1:9/")
        assert self.watch(monkeypatch, tmp_path, *nobody, uptime=uptime) == 1
        # What stays as it is is told once.
        assert self.put(programs, "boot")["phase"] == "starting"


def test_the_functions_understand_what_the_machine_tells() -> None:
    from lambdas.boot_report import BootReport, Phase
    from start_progress.facts import Facts

    assert set(Facts.__dataclass_fields__) <= set(BootReport.__dataclass_fields__)
    source = (AWS / "start_progress" / "facts.py").read_text()
    for phase in Phase:
        assert f'Facts("{phase.value}"' in source


def test_nothing_but_python_is_needed() -> None:
    """It runs before anything is installed, on the image's own Python."""
    for path in (AWS / "start_progress").glob("*.py"):
        command = [sys.executable, "-S", "-c", f"import start_progress.{path.stem}"]
        subprocess.run(command, cwd=AWS, check=True)
