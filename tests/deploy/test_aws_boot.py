"""The machine's boot: its steps in order, how often they are tried, and what is told of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.deploy.programs import Programs

AWS = Path(__file__).parents[2] / "deploy" / "aws"
STEPS = ["settings", "docker", "packages", "logs", "certificate", "models", "install"]
SETTINGS = {
    "SOURCE_SHA256": "1" * 64,
    "DOMAIN": "gpu.example.org",
    "EMAIL": "ada@example.org",
    "ACME_STAGING": "false",
    "KEYS_SECRET": "arn:keys",
    "CERTIFICATE_SECRET": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:certificate",
    "MODELS_BUCKET": "models",
    "FLAVOUR": "onnx",
    "ORIGIN": "https://d1.cloudfront.net",
    "PUBLIC_IP": "203.0.113.7",
    "UDP_RANGE": "49152-65535",
    "MAX_RUN_MINUTES": "480",
    "BOOT_LIMIT_MINUTES": "40",
    "LOG_GROUP": "gpu-log",
}


@contextmanager
def metadata() -> Iterator[str]:
    """EC2's metadata, version 2: nothing without a token."""

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            self.reply("a token")

        def do_GET(self) -> None:
            known = {"/latest/meta-data/instance-id": "i-1", "/latest/meta-data/local-ipv4": "10.0.0.5"}
            is_let_in = self.headers["X-aws-ec2-metadata-token"] == "a token"
            self.reply(known.get(self.path, "")) if is_let_in else self.send_error(401)

        def reply(self, text: str) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


class Machine:
    """Its steps are programs that a test makes fail; its server is ready as soon as they are done."""

    def __init__(self, folder: Path, metadata_url: str) -> None:
        self.programs = Programs(folder / "bin")
        self.programs.add("aws", '[ "$1" != ec2 ] || echo Machine')
        self.programs.add("docker", '[ "$1 $2" = "image inspect" ]')
        # The watch: told to be over when the steps are.
        self.programs.add("python3", 'case " $* " in *" watch "*) exec "$WATCH" "$3";; esac')
        self.steps = Programs(folder / "steps")
        for name in STEPS:
            self.step(name)
        watch = folder / "watch"
        watch.write_text(
            '#!/bin/bash\nwhile [ -e "$STATE/step" ] || ! [ -e "$STATE/.seen" ]; do\n'
            '[ -e "$STATE/failed" ] && exit 1; [ -e "$STATE/step" ] && touch "$STATE/.seen"\n'
            'sleep 0.01; done\n[ ! -e "$STATE/failed" ] && [ -z "$SERVER_FAILS" ]\n'
        )
        watch.chmod(0o755)
        self._settings = folder / "settings"
        self.done = folder / "done"
        state = folder / "state"
        self.environment = {
            "AWS_DEFAULT_REGION": "eu-central-1",
            "STACK": "gpu",
            "BOOT_STATE": str(state),
            "BOOT_STEPS": str(self.steps.folder),
            "BOOT_DONE": str(self.done),
            "BOOT_PAUSE": "0",
            "METADATA_URL": metadata_url,
            "WATCH": str(watch),
            "STATE": str(state),
            "SERVER_FAILS": "",
        }

    def step(self, name: str, script: str = "") -> None:
        self.steps.add(f"{name}.sh", script)

    def boot(self, **settings: str) -> int:
        told = SETTINGS | settings
        self._settings.write_text("".join(f"{name}={value}\n" for name, value in told.items() if value))
        done = self.programs.run(AWS / "boot.sh", self._settings, environment=self.environment)
        self.said = done.stdout + done.stderr
        return done.returncode

    @property
    def signals(self) -> list[str]:
        return [
            call.rpartition(" ")[2] for call in self.programs.called("aws cloudformation signal-resource")
        ]


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with metadata() as url:
        yield Machine(tmp_path, url)


def test_a_first_boot_does_each_step_once_and_tells_the_stack(machine: Machine) -> None:
    assert machine.boot() == 0, machine.said
    assert [call.split(".")[0] for call in machine.steps.calls] == STEPS
    assert machine.signals == ["SUCCESS"]
    (signal,) = machine.programs.called("aws cloudformation signal-resource")
    assert "--logical-resource-id Machine --unique-id i-1" in signal
    assert machine.done.read_text().strip() == SETTINGS["SOURCE_SHA256"]
    (watch,) = machine.programs.called("python3 -m start_progress")
    assert watch.endswith("watch --stack gpu --instance i-1 --limit-s 2400 --first")


def test_the_stack_is_told_once(machine: Machine) -> None:
    machine.boot()
    machine.boot()
    assert machine.signals == ["SUCCESS"]


def test_a_step_that_fails_once_in_a_while_is_tried_again(machine: Machine) -> None:
    machine.step("packages", '[ -e "$STATE/tried" ] || { touch "$STATE/tried"; exit 1; }')
    assert machine.boot() == 0, machine.said
    assert len(machine.steps.called("packages")) == 2


@pytest.mark.parametrize(("name", "tries"), [("packages", 5), ("certificate", 2)])
def test_a_step_that_always_fails_ends_the_boot_and_is_heard_of(
    machine: Machine, name: str, tries: int
) -> None:
    machine.step(name, "exit 1")
    assert machine.boot() == 1
    # Let's Encrypt allows five failures an hour, so a certificate is not tried as often as the rest.
    assert len(machine.steps.called(name)) == tries
    assert machine.signals == ["FAILURE"]
    (line,) = machine.programs.called("aws logs put-log-events")
    events = json.loads(line.partition("--log-events ")[2])
    assert [event["message"] for event in events] == [f"boot failed: {name}"]
    assert not machine.done.exists()


def test_a_server_that_does_not_come_up_fails_the_stack(machine: Machine) -> None:
    machine.environment["SERVER_FAILS"] = "yes"
    assert machine.boot() == 1
    assert machine.signals == ["FAILURE"]


def test_what_was_installed_goes_on_when_a_later_step_fails(machine: Machine) -> None:
    machine.boot()
    machine.steps.forget()
    machine.step("install", "exit 1")
    assert machine.boot(SOURCE_SHA256="2" * 64) == 0, machine.said
    # The next boot tries the new source again.
    assert machine.done.read_text().strip() == SETTINGS["SOURCE_SHA256"]
    assert "boot failed: install" in machine.said


def test_the_image_is_fetched_beside_the_rest_where_it_is_not_there(machine: Machine) -> None:
    machine.programs.add("docker", "exit 1")
    assert machine.boot() == 0, machine.said
    (pull,) = [call for call in machine.programs.called("python3") if " pull " in call]
    assert "nvcr.io/nvidia/tritonserver:" in pull
    # Of releases there is room for two: one that a container still has, and the new one.
    calls = machine.programs.calls
    assert calls.index("docker image prune --all --force") < calls.index(pull)


def test_no_image_goes_where_none_comes(machine: Machine) -> None:
    machine.boot()
    assert not machine.programs.called("docker image prune")


@pytest.mark.parametrize("name", SETTINGS)
def test_what_the_stack_does_not_say_is_named(machine: Machine, name: str) -> None:
    assert machine.boot(**{name: ""}) == 2
    assert f"{name} is not in" in machine.said
    assert machine.steps.calls == []


def test_each_step_is_there() -> None:
    assert {path.stem for path in (AWS / "steps").glob("*.sh")} == set(STEPS)


def test_the_template_gives_all_that_the_boot_asks_for() -> None:
    text = (AWS / "template.yaml").read_text()
    for name in SETTINGS:
        assert f"\n        {name}=$" in text or f"\n        {name}=https://$" in text, name
