"""Against a real HTTP server that can be told to misbehave."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import web

from mediaserver.models import download as module
from mediaserver.models.download import DownloadError, SourceUnreachable, download
from tests.support.waiting import eventually

CONTENT = random.Random(1).randbytes(700_000)
SIZE, SHA256 = len(CONTENT), hashlib.sha256(CONTENT).hexdigest()
TAG = '"version-1"'


@dataclass
class Cut:
    """An answer that breaks off."""

    after_bytes: int


class Source:
    """Serves `CONTENT` at /model, with ranges; the attributes say what goes wrong, and what was asked."""

    def __init__(self) -> None:
        self.content, self.tag = CONTENT, TAG
        self.trouble: list[Cut | int] = []
        """What happens to the next answers: they break off, or have a status and no body."""
        self.silent = False
        self.asked: list[tuple[str | None, str | None]] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        asked, known = request.headers.get("Range"), request.headers.get("If-Range")
        self.asked.append((asked, known))
        trouble = self.trouble.pop(0) if self.trouble else None
        if isinstance(trouble, int):
            return web.Response(status=trouble)
        first = offset(asked) if asked and known == self.tag else 0
        body = self.content[first:]
        response = web.StreamResponse(status=206 if first else 200, headers={"ETag": self.tag})
        response.content_length = len(body)
        if first:
            response.headers["Content-Range"] = f"bytes {first}-{SIZE - 1}/{SIZE}"
        await response.prepare(request)
        if self.silent:
            await asyncio.sleep(5)
        if trouble is not None:
            await response.write(body[: trouble.after_bytes])
            await asyncio.sleep(0.05)
            assert request.transport is not None
            request.transport.abort()
        else:
            await response.write(body)
        return response


def offset(asked: str | None) -> int:
    assert asked is not None
    return int(asked.removeprefix("bytes=").removesuffix("-"))


def redirect(path: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(request: web.Request) -> web.StreamResponse:
        raise web.HTTPFound(path)

    return answer


@pytest.fixture
async def source(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Source]:
    monkeypatch.setattr(module, "_FIRST_PAUSE_S", 0.01)
    source = Source()
    app = web.Application()
    app.router.add_get("/model", source.answer)
    app.router.add_get("/moved", redirect("/model"))
    app.router.add_get("/round", redirect("/round"))
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    source.url = f"http://127.0.0.1:{runner.addresses[0][1]}/model"
    yield source
    await runner.cleanup()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "models" / "model.onnx"


async def fetch(source: str, target: Path, on_progress: Callable[[int], None] = lambda done: None) -> None:
    await download(source, target, size=SIZE, sha256=SHA256, on_progress=on_progress)


def only(target: Path) -> bool:
    """Whether the finished file is all that is left."""
    return list(target.parent.iterdir()) == [target] and target.read_bytes() == CONTENT


async def test_a_file_comes_whole_and_its_progress_is_told(source: Source, target: Path) -> None:
    progress: list[int] = []
    await fetch(source.url, target, progress.append)
    assert only(target)
    assert progress == sorted(progress)
    assert progress[-1] == SIZE


async def test_a_folder_serves_as_well(tmp_path: Path, target: Path) -> None:
    (tmp_path / "mirror.onnx").write_bytes(CONTENT)
    await fetch(str(tmp_path / "mirror.onnx"), target)
    assert only(target)


async def test_a_redirect_is_followed_but_not_for_ever(source: Source, target: Path) -> None:
    await fetch(source.url.replace("/model", "/moved"), target)
    assert only(target)
    with pytest.raises(DownloadError, match="redirected too often"):
        await fetch(source.url.replace("/model", "/round"), target.with_name("other"))


async def test_a_cut_connection_is_taken_up_where_it_ended(source: Source, target: Path) -> None:
    source.trouble = [Cut(300_000), Cut(200_000)]
    await fetch(source.url, target)
    assert only(target)
    (first, _), (second, known), (third, _) = source.asked
    assert first is None
    assert known == TAG
    assert 0 < offset(second) < offset(third) < SIZE


async def test_the_next_call_goes_on_where_the_last_one_gave_up(source: Source, target: Path) -> None:
    source.trouble = [Cut(300_000), 500, 500, 500, 500]
    with pytest.raises(DownloadError, match="the partial file is kept for the next attempt"):
        await fetch(source.url, target)
    await fetch(source.url, target)
    assert only(target)
    assert offset(source.asked[-1][0]) > 0


async def test_a_file_that_changed_meanwhile_is_begun_anew(source: Source, target: Path) -> None:
    part = target.with_name("model.onnx.part")
    part.parent.mkdir()
    part.write_bytes(b"what an older version began with")
    part.with_name("model.onnx.part.version").write_text('"version-0"')
    await fetch(source.url, target)
    assert only(target)
    assert source.asked == [("bytes=32-", '"version-0"')]


async def test_without_a_version_nothing_is_joined_together(source: Source, target: Path) -> None:
    source.tag = 'W/"weak"'
    source.trouble = [Cut(300_000)]
    await fetch(source.url, target)
    assert only(target)
    assert source.asked == [(None, None), (None, None)]


async def test_a_server_in_trouble_is_asked_again(source: Source, target: Path) -> None:
    source.trouble = [503, 429, 416]
    await fetch(source.url, target)
    assert only(target)


async def test_one_that_stays_in_trouble_is_given_up(source: Source, target: Path) -> None:
    source.trouble = [500] * 9
    with pytest.raises(DownloadError, match="given up after 5 attempts: the server answered 500"):
        await fetch(source.url, target)
    assert len(source.asked) == 5
    assert not target.exists()


async def test_a_silent_server_is_given_up(
    source: Source, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SILENCE_TIMEOUT_S", 0.1)
    source.silent = True
    with pytest.raises(DownloadError, match="given up after 5 attempts"):
        await fetch(source.url, target)


async def test_another_file_than_the_expected_leaves_nothing(source: Source, target: Path) -> None:
    source.content = CONTENT[:-1] + bytes([CONTENT[-1] ^ 1])
    with pytest.raises(DownloadError, match=f"its SHA-256 is [0-9a-f]{{64}}, not {SHA256}"):
        await fetch(source.url, target)
    assert list(target.parent.iterdir()) == []


async def test_a_larger_file_is_not_taken(source: Source, target: Path, tmp_path: Path) -> None:
    source.content = CONTENT + bytes(1_000_000)
    with pytest.raises(DownloadError, match=f"larger than the {SIZE} bytes"):
        await fetch(source.url, target)
    (tmp_path / "large").write_bytes(source.content)
    with pytest.raises(DownloadError, match=f"larger than the {SIZE} bytes"):
        await fetch(str(tmp_path / "large"), target)
    assert not target.exists()


async def test_a_file_that_is_not_there_is_told(source: Source, target: Path, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="/nothing: the server answered 404 Not Found"):
        await fetch(source.url.replace("/model", "/nothing"), target)
    with pytest.raises(SourceUnreachable, match="nothing: no such file"):
        await fetch(str(tmp_path / "nothing"), target)


async def test_no_network_is_told(target: Path) -> None:
    with pytest.raises(SourceUnreachable, match=r"^127\.0\.0\.1 cannot be reached: .*Connect call failed"):
        await fetch("http://127.0.0.1:1/model", target)


async def test_one_file_is_fetched_by_one_at_a_time(source: Source, target: Path) -> None:
    source.silent = True
    first = asyncio.create_task(fetch(source.url, target))
    await eventually(lambda: source.asked)
    with pytest.raises(DownloadError, match=r"model\.onnx is being fetched by another process"):
        await fetch(source.url, target)
    first.cancel()
    await asyncio.wait([first])
