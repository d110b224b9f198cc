#!/bin/bash
# certbot's hook after each new certificate: nginx takes it, and the next machine gets it.
#   keep-certificate.sh SECRET     its ARN
set -euo pipefail
folder=${ETC:-/etc}/letsencrypt
! systemctl --quiet is-active nginx || systemctl reload nginx
part=$(mktemp -d)
trap 'rm -rf "$part"' EXIT
# Without the certificates of the past: a secret has 64 KiB (Secrets Manager, "Quotas").
cd "$(dirname "$folder")"
{
    find letsencrypt/accounts letsencrypt/renewal letsencrypt/live
    find letsencrypt/live -type l -exec readlink --canonicalize {} \; | sed "s|^$(realpath "$folder")/|letsencrypt/|"
} | tar --create --gzip --no-recursion --file "$part/tar" --files-from -
# As text: the two versions of AWS's command line write bytes in different ways.
base64 "$part/tar" >"$part/text"
# certbot's own timer knows no region; the secret's name says it (arn:aws:secretsmanager:REGION:…).
aws secretsmanager put-secret-value --region "$(cut -d : -f 4 <<<"$1")" \
    --secret-id "$1" --secret-string "file://$part/text" >/dev/null
