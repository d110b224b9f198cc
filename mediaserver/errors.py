"""Errors that end a command with one clear line instead of a traceback.

``UserError``
  └─ ``UsageError``        what was asked for cannot be done as it was asked
       ├─ ``SettingsError``     a setting cannot be used
       ├─ ``AddressError``      the server cannot listen where it should
       ├─ ``ModelError``        a model is missing or cannot be used
       ├─ ``LicenceError``      a licence was not accepted
       ├─ ``MissingPackage``    an optional package is needed
       └─ ``UnreadableFile``    a file that was named cannot be read
"""

from __future__ import annotations


class UserError(Exception):
    """Its message is one line for the person who typed the command; ``exit_status`` is the command's."""

    exit_status = 1


class UsageError(UserError):
    """What was asked for cannot be done as it was asked: trying again changes nothing."""

    exit_status = 2


class SettingsError(UsageError):
    """A setting cannot be used."""


class AddressError(UsageError):
    """The server cannot listen where it should: the port is taken, or the address is not this machine's."""


class ModelError(UsageError):
    """A model is missing or cannot be used."""


class LicenceError(UsageError):
    """A licence that asks for it was not accepted."""


class MissingPackage(UsageError):
    """An optional package is needed."""


class UnreadableFile(UsageError):
    """A file that was named cannot be read, or is not what it should be."""
