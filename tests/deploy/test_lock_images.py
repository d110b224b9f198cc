"""The script that locks base images, against a server that speaks as the registries do."""

from __future__ import annotations

import asyncio
import os
import shutil
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.support.gateway import write_certificate

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="no curl in PATH (Debian: curl)")

SCRIPT = Path(__file__).parents[2] / "deploy" / "dev" / "lock-images.sh"
PYTHON, TRITON = "sha256:" + "1" * 64, "sha256:" + "2" * 64
MANIFESTS = {
    ("registry-1.docker.io", "library/python", "3.11.13-slim"): PYTHON,
    ("nvcr.io", "nvidia/tritonserver", "25.06-py3"): TRITON,
}
DOCKERFILE = """\
FROM python:3.11.13-slim AS build
FROM python:3.11.13-slim AS server
COPY --from=build /opt /opt
FROM nvcr.io/nvidia/tritonserver:25.06-py3@sha256:0000 AS triton-cpu
"""
COMPOSE = """\
services:
  triton:
    image: nvcr.io/nvidia/tritonserver:25.06-py3
  mediaserver:
    image: mediaserver
"""


async def manifest(request: web.Request) -> web.Response:
    name = request.match_info["name"]
    if request.headers.get("Authorization") != f"Bearer for repository:{name}:pull":
        challenge = f'Bearer realm="https://auth.example.org/token",service="{request.host}",scope="..."'
        return web.Response(status=401, headers={"WWW-Authenticate": challenge})
    assert "index" in request.headers["Accept"]
    digest = MANIFESTS.get((request.host, name, request.match_info["tag"]))
    return (
        web.Response(status=404)
        if digest is None
        else web.Response(headers={"Docker-Content-Digest": digest})
    )


async def token(request: web.Request) -> web.Response:
    return web.json_response({"token": f"for {request.query['scope']}", "expires_in": 300})


@pytest_asyncio.fixture
async def curl_home(tmp_path: Path) -> AsyncIterator[Path]:
    """Where curl finds that all three hosts are this server."""
    app = web.Application()
    app.router.add_get("/v2/{name:.+}/manifests/{tag}", manifest)
    app.router.add_get("/token", token)
    certificate = write_certificate(tmp_path / "certificate")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("privkey.pem"))
    server = TestServer(app, scheme="https")
    await server.start_server(ssl=context)
    hosts = ("registry-1.docker.io", "nvcr.io", "auth.example.org")
    lines = [f'connect-to = "{host}:443:127.0.0.1:{server.port}"\n' for host in hosts]
    (tmp_path / ".curlrc").write_text("insecure\n" + "".join(lines))
    yield tmp_path
    await server.close()


async def lock(curl_home: Path, *files: Path) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        SCRIPT,
        *files,
        env=os.environ | {"CURL_HOME": str(curl_home)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    return process.returncode, said.decode()


async def test_each_release_gets_the_digest_of_its_registry_and_all_else_stays(curl_home: Path) -> None:
    dockerfile, compose = curl_home / "Dockerfile", curl_home / "compose.yaml"
    dockerfile.write_text(DOCKERFILE)
    compose.write_text(COMPOSE)
    for _ in range(2):
        status, said = await lock(curl_home, dockerfile, compose)
        assert status == 0, said
        triton = f"nvcr.io/nvidia/tritonserver:25.06-py3@{TRITON}"
        assert dockerfile.read_text() == DOCKERFILE.replace("3.11.13-slim", f"3.11.13-slim@{PYTHON}").replace(
            "nvcr.io/nvidia/tritonserver:25.06-py3@sha256:0000", triton
        )
        assert compose.read_text() == COMPOSE.replace("nvcr.io/nvidia/tritonserver:25.06-py3", triton)


async def test_a_release_that_the_registry_does_not_know_is_named(curl_home: Path) -> None:
    dockerfile = curl_home / "Dockerfile"
    dockerfile.write_text("FROM python:3.99 AS server\n")
    status, said = await lock(curl_home, dockerfile)
    assert status == 1
    assert said == "lock-images.sh: the registry of python:3.99 names no digest\n"
    assert dockerfile.read_text() == "FROM python:3.99 AS server\n"
