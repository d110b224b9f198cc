"""A Debian for the test to install into: made once, kept in the cache, copied for each run."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
# Triton's Python backend loads Python's library, which Debian has apart.
PACKAGES = (
    "systemd",
    "systemd-sysv",
    "dbus",
    "nginx",
    "ca-certificates",
    "python3-venv",
    f"libpython{PYTHON}",
)

# What the installer installs, beside the project itself.
LOCK = ROOT / "requirements" / "server.txt"


def copy_tree(target: Path) -> None:
    """A Debian of this machine's own release. Skips the test where that cannot be had."""
    # cp, as Python would copy what comes out of /dev/zero.
    subprocess.run(("cp", "--archive", "--reflink=auto", _tree(), target), check=True)
    # Its own, at the first boot.
    (target / "etc" / "machine-id").write_text("")


def wheels() -> Path:
    """The locked packages, got by this machine's pip. Skips the test where it cannot."""
    digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]
    folder = _cache() / f"wheels-{PYTHON}-{digest}"
    if not folder.is_dir():
        command = (sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check")
        with tempfile.TemporaryDirectory(dir=_cache()) as making:
            options = ("--require-hashes", "--requirement", str(LOCK), "--dest", f"{making}/wheels")
            _run_or_skip((*command, *options), "pip cannot get the packages")
            Path(making, "wheels").rename(folder)
    return folder


def _cache() -> Path:
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mediaserver" / "boot"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _tree() -> Path:
    release = platform.freedesktop_os_release()
    suite = release.get("VERSION_CODENAME", "")
    if release["ID"] != "debian":
        pytest.skip(
            f"the machine to boot is made from this one's packages, which must be Debian's: {release['ID']}"
        )
    digest = hashlib.sha256(" ".join(PACKAGES).encode()).hexdigest()[:12]
    tree = _cache() / f"{suite}-{digest}"
    if not tree.is_dir():
        making = Path(tempfile.mkdtemp(dir=_cache()))
        try:
            command = ("debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", suite)
            _run_or_skip((*command, str(making / "tree"), _mirror(suite)), "debootstrap fails")
            (making / "tree").rename(tree)
        finally:
            shutil.rmtree(making)
    return tree


def _mirror(suite: str) -> str:
    """Where this machine's own packages come from."""
    command = ("apt-get", "indextargets", "--format", "$(CODENAME) $(SITE)", "Created-By: Packages")
    targets = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    sites = [site for codename, _, site in (line.partition(" ") for line in targets) if codename == suite]
    if not sites:
        pytest.skip(f"apt has no source for {suite}")
    return sites[0]


def _run_or_skip(command: tuple[str, ...], words: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = ((done.stderr or done.stdout).strip().splitlines() or [""])[-1]
        pytest.skip(f"{words}: {last}")
