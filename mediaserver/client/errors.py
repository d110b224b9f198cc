"""The errors of the Python client; each message is one line."""

from __future__ import annotations

from mediaserver.errors import UserError


class ClientError(UserError):
    """Base of the client's errors; raised itself for wrong use."""


class Unreachable(ClientError):
    """No server answers, or the server has no place now. A retry after ``retry_after_s`` seconds may help.

    ``timed_out``: there was no answer at all. ``answered``: a server answered and refused the client.
    """

    def __init__(
        self, message: str, retry_after_s: float = 0.0, *, timed_out: bool = False, answered: bool = False
    ) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.timed_out = timed_out
        self.answered = answered


class Refused(ClientError):
    """The server rejected the request or ended the session. A retry of the same request fails again."""


class ClipError(UserError):
    """The recording or the camera cannot be read."""
