from __future__ import annotations

import json
import secrets
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import jwt
import pytest

from mediaserver.child_process import free_ports
from tests.boot.debian import PYTHON, ROOT, copy_tree, wheels
from tests.boot.machine import DidNotBoot, Machine, Tree, missing, wait_for
from tests.support.gateway import write_certificate

SERVER = "mediaserver.service"
CHECKOUT, MODELS, WHEELS, TRITON = "/usr/src/mediaserver", "/models", "/wheels", "/triton"
OFFLINE = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": WHEELS}
INSTALL = (
    f"{CHECKOUT}/deploy/systemd/install.sh",
    "--domain",
    "localhost",
    "--models",
    MODELS,
    "--flavour",
    "cpu",
)


@dataclass(frozen=True, slots=True)
class Ports:
    """The network is this machine's, so the usual ports may be taken."""

    http: int
    https: int
    server: int
    triton_http: int
    triton_grpc: int
    triton_metrics: int


@dataclass(frozen=True, slots=True)
class Installed:
    """A tree with everything in it, ready to boot."""

    tree: Tree
    ports: Ports
    certificate: Path
    said: str
    """What the installer printed."""


@pytest.fixture(scope="session")
def bootable() -> None:
    """Skips where a machine cannot be booted, before anything is fetched for it."""
    reason = missing()
    if reason is not None:
        pytest.skip(reason)


@pytest.fixture(scope="session")
def installed(
    bootable: None, tiny_models: Path, triton_binary: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installed]:
    """Debian, nginx and, by the installer, the project."""
    root = tmp_path_factory.mktemp("machine") / "root"
    try:
        copy_tree(root)
        # The folder above pytriton's server: its libraries lie beside it.
        triton = triton_binary.parents[1]
        tree = Tree(root, {ROOT: CHECKOUT, tiny_models: MODELS, wheels(): WHEELS, triton: TRITON})
        try:
            with tree.booted():
                pass
        except DidNotBoot as exc:
            pytest.skip(f"a bare Debian does not boot here: {exc}")
        certificate = write_certificate(root / "etc" / "letsencrypt" / "live" / "localhost")
        said = tree.run(*INSTALL, environment=OFFLINE)
        ports = Ports(*free_ports(6))
        _edit(root, ports)
        yield Installed(tree, ports, certificate, said)
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _edit(root: Path, ports: Ports) -> None:
    """What an operator may edit, after the installation: ports, and how Triton is started."""
    site = root / "etc" / "nginx" / "conf.d" / "mediaserver.conf"
    text = site.read_text()
    for shipped, here in {
        "127.0.0.1:8080": f"127.0.0.1:{ports.server}",
        "listen 443 ": f"listen {ports.https} ",
        "listen [::]:443 ": f"listen [::]:{ports.https} ",
        "listen 80": f"listen {ports.http}",
        "listen [::]:80": f"listen [::]:{ports.http}",
    }.items():
        assert shipped in text, shipped
        text = text.replace(shipped, here)
    site.write_text(text)
    settings = root / "etc" / "mediaserver"
    with (settings / "mediaserver.env").open("a") as file:
        file.write(
            f"MEDIASERVER_PORT={ports.server}\n"
            f"MEDIASERVER_TRITON_URLS=127.0.0.1:{ports.triton_grpc}\n"
            "MEDIASERVER_ICE_INTERFACES=lo\n"
        )
    (settings / "triton.env").write_text(
        f"HTTP_PORT={ports.triton_http}\nGRPC_PORT={ports.triton_grpc}\nMETRICS_PORT={ports.triton_metrics}\n"
        # As in `mediaserver.models.local_triton`: models run with this Python, whatever Triton brings.
        f"LD_PRELOAD=libpython{PYTHON}.so.1.0\n"
    )
    folder = root / "etc" / "systemd" / "system" / "triton.service.d"
    folder.mkdir()
    shutil.copy(Path(__file__).parent / "triton.conf", folder / "direct.conf")


def wait_until_active(machine: Machine) -> None:
    """Until the server has said that it is ready."""
    wait_for(
        lambda: machine.show(SERVER, "ActiveState") == "active", 60, lambda: machine.journal("mediaserver*")
    )


@dataclass(frozen=True, slots=True)
class Running:
    """The machine after its boot, and who may come in."""

    machine: Machine
    ports: Ports
    certificate: Path
    token: str

    @property
    def socket_url(self) -> str:
        return f"wss://localhost:{self.ports.https}/ws/inference"

    @property
    def ready_url(self) -> str:
        return f"https://localhost:{self.ports.https}/readyz"


@pytest.fixture(scope="module")
def running(installed: Installed) -> Iterator[Running]:
    """The machine, booted. Nobody has touched it since."""
    with installed.tree.booted() as machine:
        yield visited(installed, machine)


def visited(installed: Installed, machine: Machine) -> Running:
    """With a token, signed with the key that the installer made."""
    settings = (installed.tree.root / "etc" / "mediaserver" / "mediaserver.env").read_text()
    keys = next(line for line in settings.splitlines() if line.startswith("MEDIASERVER_TOKEN_KEYS="))
    ((name, key),) = json.loads(keys.partition("=")[2].strip("'")).items()
    claims = {"aud": "mediaserver", "sub": secrets.token_hex(4), "exp": int(time.time()) + 900}
    token = jwt.encode(claims, key, headers={"kid": name})
    return Running(machine, installed.ports, installed.certificate, token)
