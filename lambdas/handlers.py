"""The functions that AWS calls: events in, HTTP answers out."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from lambdas.errors import BadRequest, LifecycleError
from lambdas.lifecycle import Lifecycle, State, Status
from lambdas.tokens import COSTS_CLAIM, Audience, InvalidToken, Keyring, verified_claims

_log = logging.getLogger(__name__)

Event = Mapping[str, Any]
Answer = dict[str, Any]

_MAX_BODY = 256
_MOST_MINUTES = 24 * 60


class Handlers:
    """One method for each function of the template. Events and answers are those of API Gateway's HTTP
    API, payload version 2.0; ``reap`` takes any event."""

    def __init__(self, lifecycle: Lifecycle, keyring: Keyring, clock: Callable[[], datetime]) -> None:
        self._lifecycle = lifecycle
        self._keyring = keyring
        self._clock = clock

    def start(self, event: Event, _context: object) -> Answer:
        """``POST /start``: 200 when ready, else 202 with the state to wait for.

        The body may give the minutes of the lease: ``{"keep_minutes": 90}``.
        """
        return _answer(lambda: self._lifecycle.start(_caller(event)["sub"], _keep(event)))

    def status(self, event: Event, _context: object) -> Answer:
        """``GET /status``: 200 in each state."""
        sees_costs = _caller(event).get(COSTS_CLAIM) in {True, "true"}
        return _answer(lambda: self._lifecycle.status(sees_costs=sees_costs), pending=200)

    def stop(self, _event: Event, _context: object) -> Answer:
        """``POST /stop``: 202 while it stops, 409 while it is in use."""
        return _answer(self._lifecycle.stop)

    def reap(self, _event: Event, _context: object) -> str:
        """Runs by the schedule, and every 30 minutes. It raises errors, so that Lambda retries and the alarm
        counts them."""
        outcome = self._lifecycle.reap()
        _log.info("reap: %s", outcome)
        return outcome

    def authorize(self, event: Event, _context: object) -> Answer:
        """Lets in callers with ``Authorization: Bearer`` and a token for this API.

        Raises `LifecycleError` if the keys cannot be read. API Gateway then answers 500, so the page does not
        take its user's token for a bad one.
        """
        scheme, _, token = event.get("headers", {}).get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return {"isAuthorized": False}
        try:
            claims = verified_claims(self._keyring.keys(), Audience.API, token, self._clock())
            self._keyring.check_not_revoked(claims)
        except InvalidToken as error:
            _log.info("token refused: %s", error)
            return {"isAuthorized": False}
        context = {"sub": claims["sub"], COSTS_CLAIM: claims.get(COSTS_CLAIM) is True}
        return {"isAuthorized": True, "context": context}


def _answer(act: Callable[[], Status], pending: int = 202) -> Answer:
    try:
        status = act()
    except LifecycleError as error:
        # The user gets plain words; the log has AWS's own for the operator.
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
    if status.retry is not None:
        body["retry_s"] = _seconds(status.retry)
    if status.token is not None:
        body["token"] = status.token
    if status.cost is not None:
        body["cost"] = {"run_usd": float(status.cost.run), "month_usd": float(status.cost.month)}
    return body


def _seconds(span: timedelta | None) -> int | None:
    return None if span is None else round(span.total_seconds())


def _http(status: int, body: Mapping[str, Any], retry_s: int | None = None) -> Answer:
    headers = {"content-type": "application/json", "cache-control": "no-store"}
    if retry_s is not None:
        headers["retry-after"] = str(retry_s)
    return {"statusCode": status, "headers": headers, "body": json.dumps(body)}


def _caller(event: Event) -> Mapping[str, Any]:
    """Returns the caller's claims, of our own authoriser or of Cognito's."""
    authorizer = event["requestContext"]["authorizer"]
    claims: Mapping[str, Any] = authorizer["jwt"]["claims"] if "jwt" in authorizer else authorizer["lambda"]
    return claims


def _keep(event: Event) -> timedelta | None:
    text = event.get("body") or "{}"
    try:
        body = json.loads(text) if len(text) <= _MAX_BODY and not event.get("isBase64Encoded") else None
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict) or body.keys() - {"keep_minutes"}:
        raise BadRequest('The body may be {"keep_minutes": N} and nothing else.')
    minutes = body.get("keep_minutes")
    if minutes is None:
        return None
    if type(minutes) is not int or not 1 <= minutes <= _MOST_MINUTES:  # a bool is an int, too
        raise BadRequest(f"keep_minutes must be a whole number from 1 to {_MOST_MINUTES}.")
    return timedelta(minutes=minutes)
