#!/bin/sh
# Run at each boot, before the media server: the keys live in memory, never on the disk.
#   fetch-keys.sh SECRET FILE
set -eu
umask 077
# For ever: a unit that fails takes the media server, which requires it, down with it.
until keys=$(aws secretsmanager get-secret-value --secret-id "$1" --query SecretString --output text); do
    sleep 5
done
# The functions check revoked names; the server gets the keys alone.
keys=$(printf %s "$keys" | python3 -c 'import json, sys; keys = json.load(sys.stdin); keys.pop("revoked", None); print(json.dumps(keys))')
# systemd unquotes an EnvironmentFile; the keys are letters and digits, so single quotes hold JSON.
printf "MEDIASERVER_TOKEN_KEYS='%s'\n" "$keys" >"$2"
