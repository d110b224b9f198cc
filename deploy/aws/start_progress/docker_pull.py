"""Pulls an image by Docker's Engine API, which reports the progress of each layer."""

from __future__ import annotations

import http.client
import json
import socket
import urllib.parse
from collections.abc import Callable, Iterable, Mapping
from typing import Any

SOCKET = "/var/run/docker.sock"
# Some releases of the engine are silent while they unpack layers. A closed connection ends the pull.
_SILENCE_S = 600.0


class PullFailed(Exception):
    """The engine or the registry refused; the message is theirs."""


class Layers:
    """The bytes of an image's layers: fetched, and known in total."""

    def __init__(self) -> None:
        self._done: dict[str, int] = {}
        self._total: dict[str, int] = {}

    @property
    def done(self) -> int:
        """Bytes fetched."""
        return sum(self._done.values())

    @property
    def total(self) -> int:
        """Bytes in total. It grows: the engine reports a layer's size when it begins the layer."""
        return sum(self._total.values())

    def take(self, line: Mapping[str, Any]) -> None:
        """Takes one line of the engine's stream (Docker Engine API, ImageCreate). Raises `PullFailed`."""
        if "error" in line:
            raise PullFailed(str(line["error"]))
        layer, detail = str(line.get("id")), line.get("progressDetail") or {}
        if line.get("status") == "Downloading" and "total" in detail:
            self._total[layer] = detail["total"]
            self._done[layer] = detail.get("current", 0)
        elif line.get("status") in {"Download complete", "Pull complete"} and layer in self._total:
            self._done[layer] = self._total[layer]


class _Engine(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("docker", timeout=_SILENCE_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def pull(image: str, on_progress: Callable[[Layers], None], engine: str = SOCKET) -> None:
    """Fetches ``image`` and reports each line. Layers that are there are not fetched again.

    Raises `PullFailed`, also if the engine is silent for ten minutes.
    """
    connection = _Engine(engine)
    layers = Layers()
    try:
        connection.request("POST", f"/images/create?{urllib.parse.urlencode({'fromImage': image})}")
        answer = connection.getresponse()
        if answer.status != http.client.OK:
            raise PullFailed(f"{image}: {answer.status} {answer.read(500).decode(errors='replace')}")
        for line in _lines(answer):
            layers.take(line)
            on_progress(layers)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise PullFailed(f"{image}: {error}") from error
    finally:
        connection.close()


def _lines(answer: Iterable[bytes]) -> Iterable[dict[str, Any]]:
    for line in answer:
        if line.strip():
            yield json.loads(line)
