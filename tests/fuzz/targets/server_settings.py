"""Settings: lines that begin with ``env:`` and ``cmd:`` are ``name=value``, all others are a file of TOML."""

from __future__ import annotations

import tempfile
from pathlib import Path

from mediaserver.settings.model import SettingsError, load

MUTATIONS = 500


def one_input(data: bytes) -> None:
    # An environment has what bytes it cannot read as lone surrogates.
    environment, command_line, toml = {}, {}, []
    for line in data.split(b"\n"):
        place, _, rest = line.decode(errors="surrogateescape").partition(":")
        name, _, value = rest.partition("=")
        if place == "env":
            environment[name] = value.replace("\0", "")
        elif place == "cmd":
            command_line[name] = value.replace("\0", "")
        else:
            toml.append(line)
    with tempfile.NamedTemporaryFile(suffix=".toml") as file:
        file.write(b"\n".join(toml))
        file.flush()
        try:
            load(command_line=command_line, environment=environment, config_file=Path(file.name))
        except SettingsError as error:
            str(error).encode(errors="surrogateescape")
