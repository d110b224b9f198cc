from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from mediaserver.errors import OutputError
from mediaserver.paths import sample_clip, temporary_folder, web_root


def test_the_page_and_the_sample_are_there() -> None:
    assert (web_root() / "index.html").is_file()
    assert sample_clip().stat().st_size > 100_000


def test_a_temporary_folder_is_gone_afterwards() -> None:
    with temporary_folder("test") as folder:
        (folder / "file").write_text("")
    assert not folder.exists()


def test_where_there_is_no_place_for_one_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(OutputError, match="cannot write temporary files"), temporary_folder("test"):
        pytest.fail("there is none")
