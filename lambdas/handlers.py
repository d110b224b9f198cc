"""What AWS calls: events in, HTTP answers out, and nothing else."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from lambdas.errors import LifecycleError
from lambdas.lifecycle import Lifecycle, State, Status
from lambdas.tokens import Audience, InvalidToken, Keyring, verify

_log = logging.getLogger(__name__)

Event = Mapping[str, Any]
Answer = dict[str, Any]


class Handlers:
    """One method for each function of the template. Events and answers are those of API Gateway's HTTP
    API, payload version 2.0; ``reap`` takes any event."""

    def __init__(self, lifecycle: Lifecycle, keyring: Keyring, clock: Callable[[], datetime]) -> None:
        self._lifecycle = lifecycle
        self._keyring = keyring
        self._clock = clock

    def start(self, event: Event, _context: object) -> Answer:
        """``POST /start``: 200 when ready, else 202 with the state to wait for."""
        return _answer(lambda: self._lifecycle.start(_user(event)))

    def status(self, _event: Event, _context: object) -> Answer:
        """``GET /status``: always 200."""
        return _answer(self._lifecycle.status, pending=200)

    def stop(self, _event: Event, _context: object) -> Answer:
        """``POST /stop``: 202 while it stops, 409 while it is in use."""
        return _answer(self._lifecycle.stop)

    def reap(self, _event: Event, _context: object) -> str:
        """The schedule, and every 30 minutes. An error is raised, so that Lambda tries again and the alarm
        hears of it."""
        outcome = self._lifecycle.reap()
        _log.info("reap: %s", outcome)
        return outcome

    def authorize(self, event: Event, _context: object) -> Answer:
        """Lets in who carries ``Authorization: Bearer`` and a token made for this API.

        Raises `LifecycleError` where the keys cannot be read: API Gateway then answers 500, so that no page
        takes its user's token for a bad one.
        """
        scheme, _, token = event.get("headers", {}).get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return {"isAuthorized": False}
        try:
            subject = verify(self._keyring.keys(), Audience.API, token, self._clock())
        except InvalidToken as error:
            _log.info("token refused: %s", error)
            return {"isAuthorized": False}
        return {"isAuthorized": True, "context": {"sub": subject}}


def _answer(act: Callable[[], Status], pending: int = 202) -> Answer:
    try:
        status = act()
    except LifecycleError as error:
        # The user's words stay words; the operator needs AWS's own.
        _log.warning("%s: %s", error.code, error.__cause__ or error)
        body = {"error": error.code, "message": str(error), "retry_s": error.retry_s}
        return _http(error.status, body, error.retry_s)
    return _http(200 if status.state is State.READY else pending, _body(status))


def _body(status: Status) -> dict[str, Any]:
    body: dict[str, Any] = {
        "state": status.state,
        "message": status.message,
        "address": status.address,
        "wait_s": _seconds(status.wait),
        "stops_at": None if status.stops_at is None else status.stops_at.isoformat(),
        "stops_in_s": _seconds(status.stops_in),
    }
    return body if status.token is None else body | {"token": status.token}


def _seconds(span: timedelta | None) -> int | None:
    return None if span is None else round(span.total_seconds())


def _http(status: int, body: Mapping[str, Any], retry_s: int | None = None) -> Answer:
    headers = {"content-type": "application/json", "cache-control": "no-store"}
    if retry_s is not None:
        headers["retry-after"] = str(retry_s)
    return {"statusCode": status, "headers": headers, "body": json.dumps(body)}


def _user(event: Event) -> str:
    """Who was let in: by our own authoriser or by Cognito's."""
    authorizer = event["requestContext"]["authorizer"]
    claims = authorizer["jwt"]["claims"] if "jwt" in authorizer else authorizer["lambda"]
    return str(claims["sub"])
