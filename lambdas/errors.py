"""Everything that can go wrong, as an HTTP answer that says what the user can do.

``LifecycleError``
  ├─ ``NoCapacity``   503  AWS has no such machine free, or the account's quota is used up
  ├─ ``Throttled``    429  too many calls to AWS
  ├─ ``NoInstance``   404  no machine, or more than one, carries our tag
  ├─ ``WrongState``   409  the machine is between two states
  ├─ ``InUse``        409  someone's session would be cut
  ├─ ``Denied``       500  a function's role lacks a permission
  ├─ ``ServerFailed`` 502  the media server answers, but not what was asked
  └─ ``AwsFailed``    502  any other failure of AWS
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError


class LifecycleError(Exception):
    """Base of every error of this package. ``retry_s``: when asking again makes sense, in seconds."""

    status = 500
    code = "internal"
    retry_s: int | None = None


class NoCapacity(LifecycleError):
    """AWS cannot give us the machine at this moment."""

    status, code, retry_s = 503, "no_capacity", 120


class Throttled(LifecycleError):
    """AWS asks us to slow down; boto3's own retries are used up."""

    status, code, retry_s = 429, "throttled", 5


class NoInstance(LifecycleError):
    """The tag does not lead to exactly one machine."""

    status, code = 404, "no_instance"


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
    """The media server answered with something that is no answer, for example 401 after a key change."""

    status, code, retry_s = 502, "server_failed", 30


class AwsFailed(LifecycleError):
    """AWS failed in a way that has no better name here."""

    status, code, retry_s = 502, "aws_failed", 30


_BY_AWS_CODE: dict[str, tuple[type[LifecycleError], str]] = {
    "InsufficientInstanceCapacity": (
        NoCapacity,
        "AWS has no GPU machine of this type free right now. Try again in a few minutes.",
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


def error_code(error: ClientError) -> str:
    """AWS's own name for the error."""
    return str(error.response.get("Error", {}).get("Code", ""))


@contextmanager
def translated() -> Iterator[None]:
    """Turns what boto3 raises into a `LifecycleError`; each adapter wraps its calls in it."""
    try:
        yield
    except ClientError as error:
        code = error_code(error)
        kind, words = _BY_AWS_CODE.get(code, (AwsFailed, f"AWS answered {code}. Try again in a moment."))
        raise kind(words) from error
    except BotoCoreError as error:
        raise AwsFailed("AWS cannot be reached. Try again in a moment.") from error
