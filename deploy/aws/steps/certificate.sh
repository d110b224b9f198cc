#!/bin/bash
# The certificate: what an earlier machine had, else a new one. Let's Encrypt gives five a week for the same names.
# Renewed here as well, at each boot. certbot's own timer fires twice a day, up to twelve hours late. On a machine that runs
# for an hour now and then it may not fire at all. Nothing else at boot runs certbot, which refuses to run twice at once.
set -euo pipefail
aws=$(cd "$(dirname "$0")/.." && pwd)
folder=${ETC:-/etc}/letsencrypt

# A certificate of the staging service is none for production, and the other way round.
fits() {
    local is_staging=false
    ! grep --quiet 'acme-staging' "$1/renewal/$DOMAIN.conf" 2>/dev/null || is_staging=true
    [ -e "$1/live/$DOMAIN/fullchain.pem" ] && [ "$is_staging" = "$ACME_STAGING" ]
}

if ! fits "$folder"; then
    rm -rf "$folder"
    kept=$(mktemp -d)
    trap 'rm -rf "$kept"' EXIT
    if aws secretsmanager get-secret-value --secret-id "$CERTIFICATE_SECRET" --query SecretString --output text \
        | base64 --decode >"$kept/tar" && tar --extract --gzip --file "$kept/tar" --directory "$kept" \
        && fits "$kept/letsencrypt"; then
        mv "$kept/letsencrypt" "$folder"
    else
        echo "certificate: none is kept for $DOMAIN; a new one is asked for"
    fi
fi
staging=()
[ "$ACME_STAGING" = false ] || staging=(--staging)
# By DNS: only 443 is open, and nginx has it.
certbot certonly --non-interactive --agree-tos --email "$EMAIL" --dns-route53 --domain "$DOMAIN" \
    --keep-until-expiring --deploy-hook "$aws/keep-certificate.sh $CERTIFICATE_SECRET" "${staging[@]}"
