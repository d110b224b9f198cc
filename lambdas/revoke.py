"""Shuts one person out: ``python -m lambdas.revoke NAME --secret ID``.

Within a minute the API rejects all tokens of this name that were made before. It accepts a new invitation.
Live sessions go on. A session token that was given before opens a session until it expires, 15 minutes at
most.
"""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, datetime

import boto3

from lambdas.errors import LifecycleError, translated
from lambdas.tokens import REVOKED, parse_secret


def main(arguments: list[str] | None = None) -> int:
    """Writes the list of revoked names into the secret. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="lambdas.revoke", description=__doc__)
    parser.add_argument("name", help="the name that lambdas.invite got")
    parser.add_argument("--secret", required=True, help="output KeysSecret of the stack")
    parser.add_argument("--region")
    options = parser.parse_args(arguments)
    client = boto3.client("secretsmanager", region_name=options.region)
    try:
        with translated():
            text = client.get_secret_value(SecretId=options.secret).get("SecretString", "")
        keys, revoked = parse_secret(text)
        revoked[options.name] = int(datetime.now(UTC).timestamp())
        with translated():
            client.put_secret_value(
                SecretId=options.secret, SecretString=json.dumps(keys | {REVOKED: revoked})
            )
    except LifecycleError as error:
        sys.stderr.write(f"{error} ({error.__cause__ or error.code})\n")
        return 1
    sys.stdout.write(f"Within a minute {options.name} is shut out; of sessions within 15.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
