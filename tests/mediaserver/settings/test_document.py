from __future__ import annotations

from pathlib import Path

from mediaserver.settings.document import TOPICS, settings_document
from mediaserver.settings.model import describe

DOCUMENT = Path(__file__).parents[3] / "docs" / "settings.md"


def test_the_document_is_what_the_settings_say() -> None:
    assert DOCUMENT.read_text() == settings_document(), "run `make docs`"


def test_each_setting_has_one_topic() -> None:
    keys = [key for topic in TOPICS.values() for key in topic]
    assert sorted(keys) == sorted(setting.key for setting in describe())
