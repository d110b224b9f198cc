"""A real nginx with the files of ``deploy/nginx``, on free ports and with a certificate of its own."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import getpass
import re
import shutil
import ssl
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mediaserver.child_process import free_ports, stop
from tests.support.listening import listens
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "deploy" / "nginx"
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")

# What a distribution's nginx.conf says around the shipped files.
_MAIN = """
user {user};
worker_processes 2;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 512; }}
http {{
    include /etc/nginx/mime.types;
    default_type application/octet-stream;
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    sendfile on;
    include conf.d/*.conf;
}}
"""


@dataclass(frozen=True, slots=True)
class Gateway:
    """Where a running nginx listens, and the certificate that it shows."""

    https_port: int
    http_port: int
    certificate: Path
    log: Path

    @property
    def url(self) -> str:
        return f"https://localhost:{self.https_port}"

    @property
    def socket_url(self) -> str:
        return f"wss://localhost:{self.https_port}/ws/inference"

    def trust(self) -> ssl.SSLContext:
        """Trusts this nginx and nobody else."""
        return ssl.create_default_context(cafile=str(self.certificate))


@contextlib.asynccontextmanager
async def gateway(
    folder: Path,
    upstreams: list[int],
    *,
    nodes: Sequence[str] = (),
    lifecycle_api: str = "",
    sessions_an_address: int | None = None,
) -> AsyncIterator[Gateway]:
    """nginx in front of servers on those ports of this machine. Skips the test where there is no nginx.

    ``nodes`` are the servers' names, where clients come back to each. ``sessions_an_address`` is for tests
    whose many users have one address, in place of the shipped limit.
    """
    if NGINX is None:
        pytest.skip("nginx is not installed (Debian: nginx)")
    https_port, http_port = free_ports(2)
    certificate = write_certificate(folder / "live" / "localhost")
    site = edited(folder, upstreams, https_port, http_port, lifecycle_api)
    shutil.copytree(SHIPPED / "mediaserver", folder / "mediaserver")
    lines = [f"{name} mediaserver_{number};" for number, name in enumerate(nodes)]
    (folder / "mediaserver" / "nodes.map").write_text("\n".join(lines))
    (folder / "conf.d").mkdir()
    (folder / "conf.d" / "mediaserver.conf").write_text(site + own_upstreams(upstreams, len(nodes)))
    if sessions_an_address is not None:
        locations = folder / "mediaserver" / "locations.conf"
        limit = re.compile(r"(?<=limit_conn mediaserver_sessions )\d+")
        locations.write_text(limit.sub(str(sessions_an_address), locations.read_text()))
    main = folder / "nginx.conf"
    main.write_text(_MAIN.format(user=getpass.getuser(), folder=folder))
    log = folder / "error.log"
    process = await asyncio.create_subprocess_exec(
        NGINX, "-e", str(log), "-p", str(folder), "-c", str(main), stderr=asyncio.subprocess.DEVNULL
    )
    try:
        await eventually(lambda: process.returncode is not None or listens(https_port))
        assert process.returncode is None, log.read_text()
        yield Gateway(https_port, http_port, certificate, log)
    finally:
        await stop(process, timeout_s=10)


def edited(folder: Path, upstreams: list[int], https_port: int, http_port: int, lifecycle_api: str) -> str:
    """The shipped site with what its header tells an operator to edit, on other ports and paths."""
    servers = "\n".join(f"    server 127.0.0.1:{port} max_fails=0;" for port in upstreams)
    text = (SHIPPED / "mediaserver.conf").read_text()
    for shipped, here in {
        "    server 127.0.0.1:8080 max_fails=0;": servers,
        "media.example.org": "localhost",
        'set $lifecycle_api ""': f'set $lifecycle_api "{lifecycle_api}"',
        "root /opt/mediaserver/current/web": f"root {ROOT / 'web'}",
        "/etc/letsencrypt/": f"{folder}/",
        "/var/www/html": str(folder / "certbot"),
        "listen 443 ": f"listen {https_port} ",
        "listen [::]:443 ": f"listen [::]:{https_port} ",
        "listen 80": f"listen {http_port}",
        "listen [::]:80": f"listen [::]:{http_port}",
    }.items():
        assert shipped in text, shipped
        text = text.replace(shipped, here)
    return text


def own_upstreams(ports: list[int], count: int) -> str:
    """One for each of the first servers, as the site's comment says."""
    blocks = []
    for number in range(count):
        lines = [
            f"server 127.0.0.1:{port} max_fails=0{'' if port == ports[number] else ' backup'};"
            for port in ports
        ]
        blocks += [f"upstream mediaserver_{number} {{", *lines, "}", ""]
    return "\n".join(blocks)


def write_certificate(folder: Path) -> Path:
    """A certificate for ``localhost`` that signs itself, as certbot names its files."""
    folder.mkdir(parents=True)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    (folder / "privkey.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    )
    path = folder / "fullchain.pem"
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return path


def visitor(front: Gateway) -> aiohttp.ClientSession:
    """Trusts the gateway, follows no redirect, and opens a connection for each request."""
    connector = aiohttp.TCPConnector(ssl=front.trust(), force_close=True)
    return aiohttp.ClientSession(front.url, connector=connector)
