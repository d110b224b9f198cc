from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from mediaserver.errors import OutputError
from mediaserver.paths import page_file, sample_clip, temporary_folder, web_root


def test_the_page_and_the_sample_are_there() -> None:
    assert (web_root() / "index.html").is_file()
    assert sample_clip().stat().st_size > 100_000


@pytest.mark.parametrize("name", ["index.html", "ui/page.js", "sample/street.mp4", "ui/../index.html"])
def test_what_is_for_browsers_is_a_file_of_the_page(name: str) -> None:
    assert page_file(name) == (web_root() / name).resolve()


@pytest.mark.parametrize(
    "name",
    [
        *("tests/words.test.js", "package.json", "tsconfig.json"),
        *("ui/../tests/words.test.js", "./tsconfig.json", "", "ui", "ui/none.js", "UI/page.js"),
        *("../pyproject.toml", "/etc/passwd", "ui/../../pyproject.toml", "index.html\0", "a" * 5000),
    ],
)
def test_nothing_else_is(name: str) -> None:
    assert page_file(name) is None


def test_a_temporary_folder_is_gone_afterwards() -> None:
    with temporary_folder("test") as folder:
        (folder / "file").write_text("")
    assert not folder.exists()


def test_where_there_is_no_place_for_one_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(OutputError, match="cannot write temporary files"), temporary_folder("test"):
        pytest.fail("there is none")
