"""Every failure as an HTTP answer with a remedy for the user.

``LifecycleError``
  ├─ ``NoCapacity``   503  no such machine is free, or the quota is used up
  ├─ ``Throttled``    429  too many calls to AWS
  ├─ ``NoInstance``   409  no machine has the stack's tag
  ├─ ``WrongState``   409  the machine is between two states
  ├─ ``InUse``        409  a session would be cut
  ├─ ``BadRequest``   400  the body is not as documented
  ├─ ``StartFailed``  502  AWS accepted the start and then gave up
  ├─ ``Denied``       500  a function's role lacks a permission
  ├─ ``ServerFailed`` 502  the media server's answer cannot be used
  └─ ``AwsFailed``    502  any other failure of AWS
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError


class LifecycleError(Exception):
    """Base of every error of this package. ``retry_s``: seconds until the caller should try again."""

    status = 500
    code = "internal"
    retry_s: int | None = None


class NoCapacity(LifecycleError):
    """AWS has no machine free now."""

    status, code, retry_s = 503, "no_capacity", 120


class StartFailed(LifecycleError):
    """The machine went from pending back to stopped."""

    status, code, retry_s = 502, "start_failed", 120


class BadRequest(LifecycleError):
    """The request's body is not what the API documents."""

    status, code = 400, "bad_request"


class Throttled(LifecycleError):
    """AWS throttles the calls, and boto3's retries are used up."""

    status, code, retry_s = 429, "throttled", 5


class NoInstance(LifecycleError):
    """No machine has the tag. Not 404: CloudFront replaces a 404 by a page."""

    status, code = 409, "no_instance"


class WrongState(LifecycleError):
    """The machine is between two states."""

    status, code, retry_s = 409, "wrong_state", 20


class InUse(LifecycleError):
    """A stop was asked for while sessions live."""

    status, code = 409, "in_use"


class Denied(LifecycleError):
    """IAM refused a call."""

    status, code = 500, "denied"


class ServerFailed(LifecycleError):
    """The media server's answer cannot be used, for example 401 after a change of keys."""

    status, code, retry_s = 502, "server_failed", 30


class AwsFailed(LifecycleError):
    """Any other failure of AWS."""

    status, code, retry_s = 502, "aws_failed", 30


_NONE_FREE = "AWS has no GPU machine of this type free right now. Try again in a few minutes."

_BY_AWS_CODE: dict[str, tuple[type[LifecycleError], str]] = {
    "InsufficientInstanceCapacity": (NoCapacity, _NONE_FREE),
    "InsufficientHostCapacity": (NoCapacity, _NONE_FREE),
    "Unsupported": (
        NoCapacity,
        "AWS does not offer this type of machine in its zone. Ask the operator for another type or zone.",
    ),
    "InstanceLimitExceeded": (
        NoCapacity,
        "The account's GPU quota is used up. Ask the operator to raise it.",
    ),
    "VcpuLimitExceeded": (NoCapacity, "The account's GPU quota is used up. Ask the operator to raise it."),
    "RequestLimitExceeded": (Throttled, "AWS is busy. Try again in a few seconds."),
    "Throttling": (Throttled, "AWS is busy. Try again in a few seconds."),
    "ThrottlingException": (Throttled, "AWS is busy. Try again in a few seconds."),
    "TooManyRequestsException": (Throttled, "AWS is busy. Try again in a few seconds."),
    "InvalidInstanceID.NotFound": (NoInstance, "The GPU machine is gone. Ask the operator to deploy again."),
    "IncorrectInstanceState": (WrongState, "The machine is changing state. Try again in a moment."),
    "UnauthorizedOperation": (Denied, "The service lacks a permission on AWS. Tell the operator."),
    "AccessDenied": (Denied, "The service lacks a permission on AWS. Tell the operator."),
    "AccessDeniedException": (Denied, "The service lacks a permission on AWS. Tell the operator."),
}

_BY_STATE_REASON: dict[str, tuple[type[LifecycleError], str]] = {
    # EC2's API reference, StateReason: those with which a machine that was starting is off again.
    "Server.InsufficientInstanceCapacity": (NoCapacity, _NONE_FREE),
    "Server.InternalError": (StartFailed, "AWS could not start the machine. Try again in a few minutes."),
    "Client.InternalError": (
        StartFailed,
        "AWS could not start the machine: its disk or the disk's key cannot be used. Tell the operator.",
    ),
    "Client.InvalidSnapshot.NotFound": (
        StartFailed,
        "AWS could not start the machine: its disk's snapshot is gone. Tell the operator.",
    ),
    "Client.VolumeLimitExceeded": (
        StartFailed,
        "AWS could not start the machine: the account's disk quota is used up. Tell the operator.",
    ),
}


def start_failure(state_reason: str) -> LifecycleError | None:
    """Returns the failure that EC2's reason stands for; ``None`` after an ordinary stop."""
    kind, words = _BY_STATE_REASON.get(state_reason, (None, ""))
    return None if kind is None else kind(words)


def error_code(error: ClientError) -> str:
    """Returns AWS's name of the error."""
    return str(error.response.get("Error", {}).get("Code", ""))


@contextmanager
def translated() -> Iterator[None]:
    """Raises errors of boto3 as `LifecycleError`; each adapter wraps its calls in it."""
    try:
        yield
    except ClientError as error:
        code = error_code(error)
        kind, words = _BY_AWS_CODE.get(code, (AwsFailed, f"AWS answered {code}. Try again in a moment."))
        raise kind(words) from error
    except BotoCoreError as error:
        raise AwsFailed("AWS cannot be reached. Try again in a moment.") from error
