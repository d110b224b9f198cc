from __future__ import annotations

from mediaserver.paths import sample_clip, web_root


def test_the_page_and_the_sample_are_there() -> None:
    assert (web_root() / "index.html").is_file()
    assert sample_clip().stat().st_size > 100_000
