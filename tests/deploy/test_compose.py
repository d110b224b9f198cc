"""The Compose files: what their specification allows, and what we rely on. No Docker engine is asked."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from mediaserver.models.triton_repository import ENGINE_CACHE
from mediaserver.settings.model import describe

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
RESET = object()


class ComposeLoader(yaml.SafeLoader):
    """YAML with the tag that takes away what an earlier file says."""


ComposeLoader.add_constructor("!reset", lambda loader, node: RESET)


def load(name: str) -> dict[str, Any]:
    content = yaml.load((DEPLOY / name).read_text(), ComposeLoader)
    assert isinstance(content, dict)
    return content


def merged(base: dict[str, Any], override: dict[str, Any]) -> dict[str, Any]:
    """As Compose does for mappings and single values; the override has no lists."""
    result = dict(base)
    for key, value in override.items():
        if value is RESET:
            del result[key]
        elif isinstance(value, dict):
            result[key] = merged(result.get(key, {}), value)
        else:
            assert not isinstance(value, list)
            result[key] = value
    return result


BASE = load("compose.yaml")
ON_CPU = merged(BASE, load("compose.cpu.yaml"))


@pytest.mark.parametrize("content", [BASE, ON_CPU], ids=["gpu", "cpu"])
def test_the_specification_allows_it(content: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "compose.json"
    file.write_text(json.dumps(content))
    checked = subprocess.run(
        (sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(file)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout


def test_the_schema_notices_mistakes(tmp_path: Path) -> None:
    file = tmp_path / "compose.json"
    file.write_text(json.dumps(merged(BASE, {"services": {"mediaserver": {"depend_on": "triton"}}})))
    command = (sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(file))
    assert subprocess.run(command, capture_output=True, check=False).returncode == 1


def test_the_server_starts_when_triton_can_run_models() -> None:
    triton, server = BASE["services"]["triton"], BASE["services"]["mediaserver"]
    assert server["depends_on"] == {"triton": {"condition": "service_healthy"}}
    assert triton["healthcheck"]["test"][-1].endswith("/v2/health/ready")
    assert "depends_on" not in triton  # it can be run alone, under systemd


def test_triton_has_a_gpu_unless_there_is_none() -> None:
    [device] = BASE["services"]["triton"]["deploy"]["resources"]["reservations"]["devices"]
    assert device["capabilities"] == ["gpu"]
    assert "deploy" not in ON_CPU["services"]["triton"]
    assert ON_CPU["services"]["triton"]["healthcheck"] == BASE["services"]["triton"]["healthcheck"]


@pytest.mark.parametrize("name", ["triton", "mediaserver"])
def test_services_are_confined(name: str) -> None:
    service = BASE["services"][name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "pid"} & service.keys()
    assert service["logging"]["driver"] == "local"  # the default one grows without end
    if "user" in service:
        assert not service["user"].startswith(("0", "root"))
    written = [volume["target"] for volume in service.get("volumes", []) if not volume.get("read_only")]
    assert written == (["/var/cache/triton"] if name == "triton" else [])


def test_the_server_writes_nothing_and_takes_media_on_the_host() -> None:
    server = BASE["services"]["mediaserver"]
    assert server["read_only"]
    assert server["network_mode"] == "host"
    assert server["environment"].keys() <= {setting.variable for setting in describe()}


def test_frames_reach_triton_through_the_host_s_memory() -> None:
    """Docker's reference, "IPC settings": a container has a /dev/shm of its own unless it has the host's.
    Triton's user is not the server's, whose group it is given."""
    triton, server = BASE["services"]["triton"], BASE["services"]["mediaserver"]
    assert triton["ipc"] == server["ipc"] == "host"
    assert "shm_size" not in triton
    [group] = triton["group_add"]
    # In the image of the server user and group have the same number.
    user = re.search(r"^USER (\d+):(\d+)$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    assert user is not None
    assert group == f"${{FRAMES_GROUP:-{user[2]}}}"
    unit = (DEPLOY / "systemd" / "triton.service").read_text()
    assert "EnvironmentFile=-/etc/mediaserver/triton.env" in unit
    assert "FRAMES_GROUP=" in (DEPLOY / "systemd" / "install.sh").read_text()


def test_triton_listens_on_this_machine_alone() -> None:
    command = BASE["services"]["triton"]["command"]
    for interface in ("http", "grpc", "metrics"):
        assert f"--{interface}-address=127.0.0.1" in command


def test_one_release_of_triton_everywhere() -> None:
    """A plan runs in the TensorRT that built it."""
    files = [DEPLOY / "compose.yaml", DEPLOY / "Dockerfile", ROOT / "triton" / "build_plans.sh"]
    releases = [
        re.findall(r"nvcr\.io/nvidia/(?:tritonserver|tensorrt):([^\s@]+)", file.read_text()) for file in files
    ]
    assert all(releases)
    assert len({release for found in releases for release in found}) == 1


def test_engines_are_kept_by_tensorrt_and_gpu(tmp_path: Path) -> None:
    """The very script that starts Triton, on a machine with another GPU and another release later on."""
    [shell, option, script, name, *started] = BASE["services"]["triton"]["command"]
    assert (shell, option, started[0]) == ("bash", "-c", "tritonserver")
    assert str(ENGINE_CACHE) == "/var/cache/triton/engines"
    cache, programs = tmp_path / "cache", tmp_path / "programs"
    cache.mkdir()
    programs.mkdir()
    script = script.replace("$$", "$").replace("/var/cache/triton", str(cache))

    def start(gpu: str | None, tensorrt: str) -> str:
        for program in programs.iterdir():
            program.unlink()
        if gpu is not None:
            (programs / "nvidia-smi").write_text(f"#!/bin/sh\nprintf '{gpu}\\n{gpu}\\n'\n")
            (programs / "nvidia-smi").chmod(0o755)
        environment = {"PATH": f"{programs}:/usr/bin:/bin", "TRT_VERSION": tensorrt}
        command = (shell, option, script, name, "echo", *started[1:])
        said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
        assert said.split() == started[1:]
        return str((cache / "engines").resolve().relative_to(cache))

    assert start("NVIDIA A10G", "10.11.0") == "tensorrt-10.11.0/NVIDIA_A10G"
    assert start("NVIDIA L4", "10.11.0") == "tensorrt-10.11.0/NVIDIA_L4"
    assert start("NVIDIA L4", "10.13.0") == "tensorrt-10.13.0/NVIDIA_L4"
    assert start(None, "10.13.0") == "tensorrt-10.13.0/none"
