"""What the Python client raises; the message is one clear line."""

from __future__ import annotations

from mediaserver.errors import UserError


class ClientError(UserError):
    """The client cannot go on."""


class Unreachable(ClientError):
    """No server answers, or it takes nobody now; trying again after ``retry_after_s`` may help."""

    def __init__(self, message: str, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Refused(ClientError):
    """The server refused what was asked."""
