"""The operator's documents: their blocks run as pasted, and each symptom, alert and metric has its row."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import jwt
import pytest
import yaml

from mediaserver.server.admission import RefusalReason
from mediaserver.settings.model import load
from mediaserver.settings.types import TokenKeys
from mediaserver.telemetry.document import with_metrics
from signaling.auth import Audience, can_sign, identify, parse_keys, verify
from signaling.messages import EndReason
from tests.support.live_server import live_server

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
DEPLOY, OPERATE = DOCS / "deploy.md", DOCS / "operate.md"
NETWORK, AWS = DOCS / "network-access.md", DOCS / "aws.md"
KEY = "a key of more than 32 bytes, for tests"


def blocks(document: Path, *languages: str) -> list[str]:
    """Its code blocks in these languages, also those in lists."""
    found = re.findall(r"^( *)```(\w+)\n(.*?)^ *```", document.read_text(), re.MULTILINE | re.DOTALL)
    return [
        re.sub(rf"^{indent}", "", text, flags=re.MULTILINE)
        for indent, language, text in found
        if language in languages
    ]


def block(document: Path, begin: str) -> str:
    """The one block that begins so."""
    [found] = [each for each in blocks(document, "sh", "console", "yaml", "json") if each.startswith(begin)]
    return found


def needs(*programs: str) -> pytest.MarkDecorator:
    missing = [program for program in programs if shutil.which(program) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where blocks run: like a checkout after ``make install``, with nothing in it but the environment."""
    (tmp_path / ".venv").symlink_to(sys.prefix)
    return tmp_path


async def pasted(text: str, folder: Path, **environment: str) -> str:
    """Returns the output of the block."""
    process = await asyncio.create_subprocess_exec(
        "bash",
        "-e",
        cwd=folder,
        env=os.environ | environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        output, errors = await process.communicate(text.encode())
    assert process.returncode == 0, errors.decode()
    return output.decode()


# --- blocks ---


@needs("systemctl")
async def test_a_look_at_the_steps_of_the_installer() -> None:
    steps = await pasted(block(DEPLOY, "deploy/systemd/install.sh --dry-run"), ROOT)
    assert "  + " in steps


@needs("jq")
async def test_lines_of_systemd_do_not_stop_jq(folder: Path) -> None:
    ended = {"message": "session ended", "reason": "no_media", "session": "s1"}
    lines = [
        "Started mediaserver.service.",
        "1",
        json.dumps(ended),
        json.dumps(ended | {"reason": "bye"}),
        "",
    ]
    journalctl = folder / "bin" / "journalctl"
    journalctl.parent.mkdir()
    journalctl.write_text("#!/bin/sh\ncat <<'END'\n" + "\n".join(lines) + "\nEND\n")
    journalctl.chmod(0o755)
    path = f"{journalctl.parent}{os.pathsep}{os.environ['PATH']}"
    found = await pasted(block(OPERATE, "journalctl --unit mediaserver --output cat"), folder, PATH=path)
    assert json.loads(found) == ended


async def test_a_token_made_by_the_script_is_good(folder: Path) -> None:
    made = block(NETWORK, "cat > make_token.py") + block(NETWORK, "export MEDIASERVER_TOKEN_KEYS=")
    token, keys = (
        await pasted(f'{made}echo "$TOKEN"\necho "$MEDIASERVER_TOKEN_KEYS"\n', folder)
    ).splitlines()
    assert verify(token, parse_keys(keys), Audience.SESSION, time.time()) == "ada"


async def test_a_token_of_the_private_key_is_good_on_a_server_with_the_public_one(folder: Path) -> None:
    token = await pasted(block(NETWORK, "install -m 600 /dev/null signing.jwk"), folder)
    keys = parse_keys((folder / "token-keys.json").read_text())
    assert not can_sign(keys)
    assert verify(token.strip(), keys, Audience.SESSION, time.time()) == "ada"
    assert (folder / "signing.jwk").stat().st_mode & 0o077 == 0


def test_the_claims_of_a_watcher_are_understood() -> None:
    claims = json.loads(block(NETWORK, '{"aud": "mediaserver-watch"'))
    token = jwt.encode(claims, KEY, headers={"kid": "k1"})
    bearer = identify(token, {"k1": KEY}, {Audience.WATCH}, claims["exp"] - 1)
    assert (bearer.subject, bearer.watch) == ("desk", ("camera-door", "camera-yard"))


@needs("curl")
async def test_a_server_is_drained(folder: Path, tiny_models: Path) -> None:
    script = block(NETWORK, "cat > make_token.py")
    keys = json.dumps({"k1": KEY})
    await pasted(script, folder)
    token = await pasted(
        ".venv/bin/python make_token.py mediaserver-control operator 900", folder, MEDIASERVER_TOKEN_KEYS=keys
    )
    drain = block(NETWORK, "curl --request POST http://127.0.0.1:8080/drain")
    async with live_server(tiny_models, token_keys=TokenKeys(keys)) as live:
        here = drain.replace("http://127.0.0.1:8080", live.http_url.rstrip("/"))
        assert json.loads(await pasted(here, folder, TOKEN=token.strip())) == {"sessions": 0}
        refused = live.server.refusal()
        assert refused is not None
        assert refused.reason is RefusalReason.DRAINING


@pytest.mark.parametrize("example", blocks(NETWORK, "ini"))
def test_settings_are_understood(example: str) -> None:
    load(environment=dict(line.split("=", 1) for line in example.splitlines()))


@needs("promtool")
def test_prometheus_takes_the_configuration_for_another_machine(tmp_path: Path) -> None:
    example = block(NETWORK, "scrape_configs:")
    token = tmp_path / "token"
    token.write_text("a token")
    (tmp_path / "prometheus.yml").write_text(example.replace("/etc/prometheus/mediaserver.token", str(token)))
    assert yaml.safe_load(example)["scrape_configs"][0]["authorization"]["credentials_file"] != str(token)
    checked = subprocess.run(
        ("promtool", "check", "config", str(tmp_path / "prometheus.yml")),
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


@contextlib.asynccontextmanager
async def typed(commands: str, folder: Path) -> AsyncIterator[asyncio.StreamReader]:
    """A program that goes on until it is stopped; its output."""
    process = await asyncio.create_subprocess_exec(
        "bash", "-e", "-c", commands, cwd=folder, start_new_session=True, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield process.stdout
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        async with asyncio.timeout(20):
            await process.wait()


@needs("curl")
async def test_the_machine_is_tried_on_a_laptop() -> None:
    pytest.importorskip("moto", reason="it stands in for AWS: pip install -e .[test]")
    example = block(AWS, "$ source .venv/bin/activate")
    commands = "\n".join(re.findall(r"^\$ (.+)$", example, re.MULTILINE))
    told = dict(re.findall(r"^(\w+): +(.+)$", example, re.MULTILINE))
    async with typed(commands, ROOT) as output, asyncio.timeout(60):
        lines = [(await output.readline()).decode() for _ in told]
        said = dict(re.findall(r"^(\w+): +(.+)$", "".join(lines), re.MULTILINE))
        assert (said["page"], said["time"]) == (told["page"], told["time"])
        assert said["key"].startswith("eyJ")
        json.loads(await pasted(said["time"], ROOT))


def test_the_answer_of_the_functions_has_these_fields() -> None:
    source = (ROOT / "lambdas" / "handlers.py").read_text()
    fields = json.loads(block(AWS, '{\n  "state": "starting"'))
    assert all(f'"{field}"' in source for field in fields)


# --- rows ---


def rows(heading: str) -> list[list[str]]:
    """The cells of the tables below this heading."""
    _, _, below = OPERATE.read_text().partition(f"\n{heading}\n")
    assert below, heading
    section = re.split(r"^#", below, maxsplit=1, flags=re.MULTILINE)[0]
    lines = re.findall(r"^\| (.+) \|$", section, re.MULTILINE)
    return [line.split(" | ") for line in lines[1:]]


def test_each_message_of_the_page_has_its_row() -> None:
    words = (ROOT / "web" / "ui" / "words" / "en_failures.js").read_text()
    titles = re.findall(r'title: "(.+)"', words)
    assert len(titles) == words.count("[FailureCode.")
    assert sorted(row[0] for row in rows("### By message of the page")) == sorted(titles)


def test_each_end_has_its_row() -> None:
    assert [row[0].strip("`") for row in rows("### By `closing.reason`")] == list(EndReason)


def test_each_refusal_has_its_row() -> None:
    told = {row[0].strip("`") for row in rows("### By refusal")}
    assert {*RefusalReason, "starting"} <= told


def test_each_alert_has_causes_and_remedies() -> None:
    groups = yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerts.yml").read_text())["groups"]
    for rule in (rule for group in groups for rule in group["rules"]):
        causes = rows(f"### {rule['alert']}")
        assert {len(row) for row in causes} == {2}, rule["alert"]
        _, _, below = OPERATE.read_text().partition(f"\n### {rule['alert']}\n\n")
        assert below.lower().startswith(f"{rule['labels']['severity']}."), rule["alert"]


def test_metrics_are_those_of_the_code() -> None:
    assert OPERATE.read_text() == with_metrics(OPERATE.read_text()), "run `make docs`"
