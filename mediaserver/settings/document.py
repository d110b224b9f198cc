"""Writes ``docs/settings.md`` from the settings: ``python -m mediaserver.settings.document``."""

from __future__ import annotations

import sys

from mediaserver.settings.model import CONFIG_VARIABLE, SettingDescription, describe

_INTRODUCTION = f"""\
# Settings of the server

Generated from `mediaserver/settings/model.py` by `make docs`; a test keeps it true.

A setting comes from the command line (`mediaserver serve --max-sessions 8`), the environment
(`MEDIASERVER_MAX_SESSIONS=8`) or a TOML file (`max_sessions = 8`) named by `--config` or `{CONFIG_VARIABLE}`.
The command line wins over the environment, the environment over the file, the file over the default.
All are read once, at the start; a key or value that cannot be used ends the start and is named with a reason.

| setting | default | allowed | what it does |
|---|---|---|---|
"""


def settings_document() -> str:
    """The text of ``docs/settings.md``."""
    return _INTRODUCTION + "".join(map(_row, describe()))


def _row(setting: SettingDescription) -> str:
    return f"| `{setting.key}` | {_default(setting)} | {setting.allowed} | {setting.description} |\n"


def _default(setting: SettingDescription) -> str:
    match setting.default:
        case None | ():
            return "–"
        case bool():
            return f"`{str(setting.default).lower()}`"
        case tuple():
            return f"`{','.join(map(str, setting.default))}`"
        case _:
            return f"`{setting.default}`"


if __name__ == "__main__":
    sys.stdout.write(settings_document())
