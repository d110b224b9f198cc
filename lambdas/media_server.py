"""The functions' requests to the media server, over HTTPS.

If the proxy answers in the server's place, the server counts as silent. Such answers are 502, 504, and a 503
without ``state``, as ``deploy/nginx`` sends it.
"""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from enum import StrEnum
from typing import Any

from lambdas.errors import ServerFailed

TIMEOUT_S = 3.0
DRAIN_FOR_S = 120
"""After this time the server takes sessions again, if the machine was not stopped."""
_MAX_BYTES = 64 * 1024


class Probe(StrEnum):
    """The state that ``/readyz`` returns."""

    SILENT = "silent"
    """No connection, or the proxy alone answers."""
    LOADING = "loading"
    FAILED = "failed"
    DRAINING = "draining"
    READY = "ready"


class ServerUnreachable(Exception):
    """No answer comes from the server's address."""


class MediaServer:
    """Client of ``/readyz`` and ``/drain`` at ``url`` (no path)."""

    def __init__(self, url: str) -> None:
        self._url = url

    def probe(self) -> Probe:
        """Sends ``GET /readyz``. 200 is ready; 503 is its ``state``: draining, failed, else loading."""
        try:
            status, body = self._ask("GET", "/readyz")
        except ServerUnreachable:
            return Probe.SILENT
        if status == http.client.OK:
            return Probe.READY
        state = body.get("state")
        if status != http.client.SERVICE_UNAVAILABLE or state is None:
            return Probe.SILENT
        return Probe(state) if state in {"draining", "failed"} else Probe.LOADING

    def drain(self, token: str, *, if_idle: bool) -> int:
        """Sends ``POST /drain``: no new sessions for `DRAIN_FOR_S`. Returns the number of live sessions.

        With ``if_idle`` the server pauses only without sessions, else it answers 409. The idle check and the
        pause are atomic. Raises `ServerUnreachable`, `ServerFailed`.
        """
        request = {"if_idle": if_idle, "for_s": DRAIN_FOR_S}
        status, body = self._ask("POST", "/drain", token, request)
        if status == http.client.SERVICE_UNAVAILABLE:
            raise ServerUnreachable("503 from the proxy; the server itself never refuses to drain")
        sessions = body.get("sessions")
        if status not in {http.client.OK, http.client.CONFLICT} or not isinstance(sessions, int):
            raise ServerFailed(f"The media server answered {status} to a drain. Tell the operator.")
        return sessions

    def _ask(
        self, method: str, path: str, token: str | None = None, content: dict[str, Any] | None = None
    ) -> tuple[int, dict[str, Any]]:
        request = urllib.request.Request(self._url + path, method=method)
        if token is not None:
            request.add_header("Authorization", f"Bearer {token}")
        if content is not None:
            request.data = json.dumps(content).encode()
            request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
                return answer.status, _json_object(answer.read(_MAX_BYTES))
        except urllib.error.HTTPError as error:
            with error:
                # With a bad gateway the proxy answers for a missing server.
                if error.code in {http.client.BAD_GATEWAY, http.client.GATEWAY_TIMEOUT}:
                    raise ServerUnreachable(str(error)) from error
                return error.code, _json_object(error.read(_MAX_BYTES))
        except (OSError, http.client.HTTPException) as error:
            raise ServerUnreachable(str(error)) from error


def _json_object(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
