"""Makes the token that a user needs for the page: ``python -m lambdas.invite NAME --secret ID``."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime, timedelta

import boto3

from lambdas.errors import LifecycleError
from lambdas.tokens import Audience, InvalidToken, Keyring, mint, verify

_MAX_DAYS = 3650


def main(arguments: list[str] | None = None) -> int:
    """Writes the token to standard output. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="lambdas.invite", description=__doc__)
    parser.add_argument("name", help="the user's name; the token and the log have it")
    parser.add_argument("--secret", required=True, help="output KeysSecret of the stack")
    parser.add_argument("--region")
    parser.add_argument(
        "--days", type=int, default=30, help="days until the token expires (default: %(default)s)"
    )
    parser.add_argument("--costs", action="store_true", help="show this user the machine's costs on the page")
    options = parser.parse_args(arguments)
    if not 1 <= options.days <= _MAX_DAYS:
        parser.error(f"--days must be 1 to {_MAX_DAYS}")
    now = datetime.now(UTC)
    client = boto3.client("secretsmanager", region_name=options.region)
    try:
        keys = Keyring(client, options.secret, lambda: now).keys()
    except LifecycleError as error:
        sys.stderr.write(f"{error} ({error.__cause__ or error.code})\n")
        return 1
    token = mint(
        keys, Audience.API, options.name, now, timedelta(days=options.days), sees_costs=options.costs
    )
    try:
        verify(keys, Audience.API, token, now)
    except InvalidToken as error:
        parser.error(f"a token with this name would be refused: {error}")
    sys.stdout.write(token + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
