from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from mediaserver.models.local_triton import TritonPorts, triton_server
from mediaserver.server import doctor
from mediaserver.server.doctor import (
    State,
    available_memory_mb,
    check_address,
    check_browser,
    check_clock,
    check_conflict,
    check_memory,
    check_models,
    check_packages,
    check_port,
    check_processors,
    check_python,
    check_triton,
    check_udp,
    check_udp_ports,
    clock_is_synchronised,
    examine,
    installed_packages,
    udp_port_range,
)
from mediaserver.settings.model import Settings
from mediaserver.settings.types import HostPort, NetworkInterface
from tests.support.live_server import live_server
from tests.support.tiny_models import DETECTOR
from tests.support.triton_models import write_tiny_repository


def test_python_must_be_new_enough() -> None:
    assert check_python((3, 13, 1)).state is State.OK
    old = check_python((3, 10, 9))
    assert (old.state, old.words, old.fix) == (
        State.FAILED,
        "3.10.9 is too old",
        "install Python 3.11 or newer",
    )


def test_packages_must_be_there_in_the_versions_that_are_required() -> None:
    required = ["aiortc==1.16.0", "numpy>=2", 'onnx>=1.18; extra == "export"']
    assert check_packages(required, {"aiortc": "1.16.0", "numpy": "2.1"}).words == "2 as required"
    wrong = check_packages(required, {"aiortc": "1.17.0"})
    assert wrong.state is State.FAILED
    assert wrong.words == "aiortc 1.17.0 is not ==1.16.0; numpy is missing"
    assert wrong.fix == f"{sys.executable} -m pip install aiortc==1.16.0 'numpy>=2'"


def test_this_environment_has_what_is_required() -> None:
    assert installed_packages().state is State.OK


def test_another_package_with_a_name_of_ours_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_conflict() == []
    monkeypatch.setattr(doctor, "conflict", lambda: "vision-toolkit has it, too")
    (finding,) = check_conflict()
    assert (finding.check, finding.state) == ("packages", State.WARNING)
    assert finding.fix == "install mediaserver into a virtual environment of its own"


# --- models and Triton ---


async def test_each_model_is_loaded_and_run(tiny_models: Path, tmp_path: Path) -> None:
    found = {finding.check: finding for finding in await check_models(Settings(models=tiny_models))}
    assert found["model detect"].state is found["model pose"].state is State.OK
    assert f"{DETECTOR}.onnx (yours) loaded and run in" in found["model detect"].words


async def test_models_that_cannot_work_are_named(tmp_path: Path) -> None:
    (missing,) = await check_models(Settings(models=tmp_path / "nowhere"))
    assert (missing.check, missing.state) == ("models", State.FAILED)
    assert "nowhere does not exist" in missing.words
    (tmp_path / "broken.onnx").write_bytes(b"?")
    broken = (await check_models(Settings(models=tmp_path)))[0]
    assert (broken.check, broken.state) == ("model detect", State.FAILED)
    assert "broken.onnx: ONNX Runtime cannot load it" in broken.words


async def test_a_triton_is_asked_for_its_models(
    triton_binary: Path, tiny_models: Path, tmp_path: Path
) -> None:
    write_tiny_repository(tmp_path, tiny_models)
    async with triton_server(triton_binary, tmp_path, TritonPorts.free()) as triton:
        settings = Settings(engine="triton", triton_urls=(HostPort(triton.grpc),))
        (finding,) = await check_triton(settings)
        (unused,) = await check_triton(Settings(triton_urls=settings.triton_urls))
    assert finding.state is unused.state is State.OK
    assert DETECTOR in finding.words
    assert unused.words.endswith("(not used)")


async def test_a_triton_is_missed_only_where_it_is_wanted() -> None:
    url = HostPort(f"127.0.0.1:{TritonPorts.free().grpc}")
    (missing,) = await check_triton(Settings(engine="triton", triton_urls=(url,)))
    assert (missing.state, missing.words) == (State.FAILED, f"no answer from {url}")
    assert await check_triton(Settings(triton_urls=(url,))) == []
    assert await check_models(Settings(engine="triton")) == []


async def test_what_listens_there_but_is_no_triton_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_TRITON_TIMEOUT_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = HostPort(f"127.0.0.1:{listener.getsockname()[1]}")
        (finding,) = await check_triton(Settings(engine="triton", triton_urls=(url,)))
    assert finding.state is State.FAILED
    assert "Triton" in finding.words


# --- the network and browsers ---


async def test_a_port_must_be_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_TCP_TIMEOUT_S", 0.1)
    port = TritonPorts.free().http
    assert (await check_port("127.0.0.1", port)).state is State.OK
    assert (await check_port("127.0.0.1", 0)).state is State.OK
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = await check_port("127.0.0.1", listener.getsockname()[1])
    assert taken.state is State.FAILED
    assert "cannot be listened on: Address already in use" in taken.words
    elsewhere = await check_port("192.0.2.77", port)
    assert "Cannot assign requested address" in elsewhere.words
    for number in (port, 0):
        unknown = await check_port("nowhere.invalid", number)
        assert unknown.state is State.FAILED
        assert f"nowhere.invalid:{number} cannot be listened on: " in unknown.words
    too_long = await check_port("a" * 64, port)
    assert too_long.state is State.FAILED
    assert "a part of the name is empty or too long for DNS" in too_long.words


async def test_a_server_that_runs_already_is_no_fault(tiny_models: Path) -> None:
    async with live_server(tiny_models) as live:
        finding = await check_port("127.0.0.1", int(live.http_url.rstrip("/").rpartition(":")[2]))
    assert finding.state is State.WARNING
    assert finding.words.endswith("a mediaserver runs there already")


async def test_udp_is_tried_on_each_address_that_media_may_use() -> None:
    both = tuple(map(NetworkInterface, ("127.0.0.1", "127.0.0.0/8")))
    found = await check_udp(Settings(ice_interfaces=both))
    assert [(item.state, item.words) for item in found] == [(State.OK, "127.0.0.1 sends and receives")]
    (nowhere,) = await check_udp(Settings(ice_interfaces=(NetworkInterface("nowhere0"),)))
    assert nowhere.state is State.FAILED
    assert "ice_interfaces is nowhere0" in nowhere.words


def test_an_address_that_is_not_here_sends_nothing() -> None:
    finding = check_address("192.0.2.77")
    assert finding.state is State.FAILED
    assert "192.0.2.77: a datagram to itself did not arrive: Cannot assign" in finding.words


def test_few_udp_ports_for_many_sessions_are_told() -> None:
    assert check_udp_ports(32768, 60999, 32).state is State.OK
    few = check_udp_ports(50_000, 50_099, 32)
    assert few.state is State.WARNING
    assert "100 are few for 32 sessions" in few.words


@pytest.mark.parametrize(
    ("host", "state", "words"),
    [
        ("127.0.0.1", State.OK, "open http://localhost:8080/ on this machine"),
        ("0.0.0.0", State.WARNING, "no camera to plain http"),
    ],
)
def test_browsers_need_a_secure_context(host: str, state: State, words: str) -> None:
    finding = check_browser(host, 8080)
    assert finding.state is state
    assert words in finding.words


def test_browsers_need_the_page(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor, "web_root", lambda: tmp_path)
    assert check_browser("127.0.0.1", 8080).state is State.FAILED


# --- the machine ---


@pytest.mark.parametrize(
    ("now", "synchronised", "state"),
    [
        (1_800_000_000, True, State.OK),
        (1_800_000_000, None, State.OK),
        (1_800_000_000, False, State.WARNING),
        (0, True, State.FAILED),
    ],
)
def test_a_clock_should_be_set_by_others(now: float, synchronised: bool | None, state: State) -> None:
    assert check_clock(now, synchronised).state is state


def test_the_kernel_is_asked_for_the_clock() -> None:
    assert clock_is_synchronised() in (True, False, None)


def test_a_small_machine_is_told() -> None:
    assert check_processors(4, 4).state is State.OK
    assert check_processors(1, 0).words == "1 processor"
    assert "fewer than inference_threads 8" in check_processors(4, 8).words
    assert check_memory(8000).state is check_memory(None).state is State.OK
    assert check_memory(300).state is State.WARNING


def test_what_the_system_says_is_read(tmp_path: Path) -> None:
    assert available_memory_mb(tmp_path) is None
    assert udp_port_range(tmp_path) == (49152, 65535)
    (tmp_path / "meminfo").write_text("MemTotal: 4096 kB\nMemAvailable:   2048 kB\n")
    assert available_memory_mb(tmp_path) == 2
    (tmp_path / "sys" / "net" / "ipv4").mkdir(parents=True)
    (tmp_path / "sys" / "net" / "ipv4" / "ip_local_port_range").write_text("40000\t50000\n")
    assert udp_port_range(tmp_path) == (40000, 50000)


async def test_all_of_it_is_looked_at(tiny_models: Path) -> None:
    settings = Settings(models=tiny_models, port=0, ice_interfaces=(NetworkInterface("127.0.0.1"),))
    findings = await examine(settings)
    assert not [finding for finding in findings if finding.state is State.FAILED]
    assert [finding.check for finding in findings if not finding.check.startswith("model ")] == [
        *("python", "packages", "port", "udp", "udp ports", "browser", "clock", "processors", "memory")
    ]
    assert all(finding.fix for finding in findings if finding.state is not State.OK)
