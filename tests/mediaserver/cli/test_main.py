"""The command line as a user meets it: in a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import tomllib
import wave
from pathlib import Path

import aiohttp
import pytest

from mediaserver.cli.main import VERBS, _parser, main
from mediaserver.settings.model import describe
from tests.support.server_process import server_process

CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("MEDIASERVER_")}


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mediaserver", *arguments],
        env=CLEAN | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def one_line(completed: subprocess.CompletedProcess[str]) -> str:
    """The only line on stderr: no traceback, no chatter."""
    lines = completed.stderr.strip().splitlines()
    assert len(lines) == 1, completed.stderr
    return lines[0]


def test_help_of_serve_lists_every_setting_with_its_variable() -> None:
    completed = run("serve", "--help")
    words = " ".join(completed.stdout.split())
    for setting in describe():
        assert f"--{setting.key.replace('_', '-')}" in words
        assert setting.variable in words


COMMANDS = (
    *VERBS,
    *(f"models {name}" for name in ("list", "catalogue", "pull", "check", "add", "export")),
    *(f"triton {name}" for name in ("fetch", "start", "repository", "check")),
)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_says_what_it_does(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*command.split(), "--help"])
    assert ended.value.code == 0
    usage, description, *_ = capsys.readouterr().out.split("\n\n")
    assert usage.startswith(f"usage: mediaserver {command} ")
    assert description.endswith(".")


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_each_command_ends_with_examples_that_parse(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([*command.split(), "--help"])
    _, examples = capsys.readouterr().out.split("Examples:\n")
    for example in examples.splitlines():
        assert example.startswith(f"  mediaserver {command}"), example
        _parser().parse_args(shlex.split(example)[1:])


LARGE = {"aiortc", "av", "boto3", "cv2", "grpc", "numpy", "onnxruntime", "rich", "tritonclient"}


@pytest.mark.parametrize(
    ("arguments", "imported"),
    [
        (["--help"], set()),
        (["heartbeat", "--help"], {"rich"}),
        # The parent of workers forks, so it must have no threads: gRPC and ONNX Runtime start some.
        (["serve", "--help"], {"aiortc", "av", "cv2", "numpy"}),
    ],
)
def test_a_command_imports_no_more_than_it_needs(arguments: list[str], imported: set[str]) -> None:
    program = (
        "import atexit, sys; from mediaserver.cli.main import main; "
        "atexit.register(lambda: print(*sys.modules, file=sys.stderr)); main(sys.argv[1:])"
    )
    command = [sys.executable, "-c", program, *arguments]
    completed = subprocess.run(command, env=CLEAN, capture_output=True, text=True, timeout=60, check=True)
    modules = set(completed.stderr.split())
    assert "argparse" in modules
    assert modules & LARGE == imported
    verbs = {verb for verb in VERBS if f"mediaserver.cli.{verb.replace('-', '_')}" in modules}
    assert verbs == set(arguments) - {"--help"}


@pytest.mark.parametrize("arguments", [("serf",), ("serve", "--ports", "1"), ("models", "pul")])
def test_a_misspelt_argument_is_named_with_the_next_step(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith("usage: mediaserver")
    assert any(argument in told for argument in arguments[-2:])
    assert told.endswith("--help\n")


def test_an_unknown_option_is_answered_with_a_known_one(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["serve", "--prt", "1"])
    told = capsys.readouterr().err
    assert "did you mean --port?" in told
    assert "mediaserver serve --help" in told


@pytest.mark.parametrize("arguments", [(), ("models",)])
def test_a_missing_command_is_answered_with_first_steps(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    told = capsys.readouterr()
    assert told.out == ""
    steps = re.findall(r"^  (mediaserver .+?)(?:  .*)?$", told.err, re.MULTILINE)
    assert len(steps) >= 3
    for step in steps:
        _parser().parse_args(step.split()[1:])
    assert told.err.endswith("--help\n")


def test_the_version_is_the_one_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    assert capsys.readouterr().out == f"mediaserver {project['version']}\n"


def test_a_bad_value_is_refused_with_its_name_and_what_is_allowed() -> None:
    completed = run("serve", MEDIASERVER_PORT="many")
    assert completed.returncode == 2
    line = one_line(completed)
    assert "'port'" in line
    assert "'many'" in line
    assert "0 to 65535" in line


def test_without_models_it_says_what_to_do(tmp_path: Path) -> None:
    completed = run("serve", "--models", str(tmp_path / "none"))
    assert completed.returncode != 0
    assert "MEDIASERVER_MODELS" in one_line(completed)


def test_an_address_that_is_taken_is_one_clear_line(tiny_models: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        completed = run("serve", "--port", port, "--models", str(tiny_models), "--log-level", "error")
    assert completed.returncode == 2
    assert f"cannot listen on 127.0.0.1:{port}" in one_line(completed)


@pytest.mark.parametrize("content", ["missing", "not a video", "only sound"])
def test_a_clip_that_cannot_be_played_is_one_clear_line(
    tmp_path: Path, tiny_models: Path, content: str
) -> None:
    clip = tmp_path / "clip.wav"
    if content == "not a video":
        clip.write_text("just text" * 1000)
    elif content == "only sound":
        with wave.open(str(clip), "wb") as sound:
            sound.setnchannels(1)
            sound.setsampwidth(2)
            sound.setframerate(8000)
            sound.writeframes(bytes(16000))
    completed = run("demo", str(clip), "--once", MEDIASERVER_MODELS=str(tiny_models))
    assert completed.returncode == 1
    assert str(clip) in completed.stderr
    assert "Traceback" not in completed.stderr


def test_the_demo_is_for_this_machine_whatever_keys_are_set(clip: Path, tiny_models: Path) -> None:
    strict = {"MEDIASERVER_TOKEN_KEYS": '{"k1": "a key of more than 32 bytes, for tests"}'}
    completed = run("demo", str(clip), "--once", MEDIASERVER_MODELS=str(tiny_models), **strict)
    assert completed.returncode == 0, completed.stderr


def test_the_demo_runs_what_there_is(clip: Path, tiny_models: Path, tmp_path: Path) -> None:
    """As after ``models pull yolox_tiny``: the built-in pose model is not put beside a real detector."""
    for file in tiny_models.glob("*.onnx"):
        if "pose" not in file.name:
            shutil.copy(file, tmp_path)
    completed = run("demo", str(clip), "--once", MEDIASERVER_MODELS=str(tmp_path))
    assert completed.returncode == 0, completed.stderr


def test_an_address_that_others_reach_needs_keys() -> None:
    completed = run("serve", "--host", "0.0.0.0")
    assert completed.returncode == 2
    assert "'token_keys'" in one_line(completed)


def test_replay_without_a_server_is_one_clear_line(clip: Path) -> None:
    completed = run("replay", str(clip), "--url", "ws://127.0.0.1:9/ws/inference", "--json")
    assert completed.returncode == 1
    assert "no server answers" in completed.stderr
    assert "start one: mediaserver serve" in completed.stderr
    assert "ssl:" not in completed.stderr
    assert completed.stderr.count("\n") == 1
    assert "Traceback" not in completed.stderr


@pytest.mark.parametrize(
    "arguments", [("--models", "detect,dance"), ("--duration", "-1"), ("--channel", "x")]
)
def test_bad_arguments_of_replay_are_refused(clip: Path, arguments: tuple[str, str]) -> None:
    completed = run("replay", str(clip), *arguments)
    assert completed.returncode == 2
    assert arguments[1] in completed.stderr


async def test_replay_prints_a_summary_and_writes_what_was_asked_for(
    tmp_path: Path, tiny_models: Path, clip: Path
) -> None:
    out, video = tmp_path / "results.jsonl", tmp_path / "annotated.mp4"
    async with server_process(tiny_models) as server:
        completed = await asyncio.to_thread(
            run,
            "replay",
            str(clip),
            *("--url", server.socket_url),
            *("--models", "detect,pose", "--out", str(out), "--annotate", str(video), "--json"),
        )
    assert completed.returncode == 0, completed.stderr
    summary = json.loads(completed.stdout.splitlines()[-1])
    assert summary.keys() == {
        "frames_sent",
        "damaged",
        "slowed_s",
        "every_frame",
        "results",
        "inference_fps",
        "result_age_ms",
        "dropped",
        "labels",
        "texts",
        "channel",
        "models",
    }
    assert summary["channel"] == "datachannel"
    assert summary["labels"]["red"] > 0
    assert summary["result_age_ms"]["p50"] > 0
    lines = out.read_text().splitlines()
    assert len(lines) == summary["results"]
    assert json.loads(lines[0])["type"] == "result"
    assert video.stat().st_size > 10_000


async def test_sigterm_tells_the_clients_and_ends_with_status_0(tiny_models: Path) -> None:
    async with (
        server_process(tiny_models, log_format="text") as server,
        aiohttp.ClientSession() as http,
    ):
        async with http.ws_connect(server.socket_url) as client:
            await client.send_str('{"type":"hello"}')
            assert (await client.receive_json(timeout=5))["type"] == "welcome"
            began = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            closing = await client.receive_json(timeout=5)
            assert (closing["type"], closing["reason"]) == ("closing", "server_shutdown")
        assert await asyncio.wait_for(server.process.wait(), 10) == 0
        assert time.monotonic() - began < 5
    assert len(re.findall(r"session ended session=\S+ reason=server_shutdown", server.text)) == 1
