#!/bin/bash
set -euo pipefail
packages=(nginx python3-venv certbot python3-certbot-dns-route53 rsyslog)
# triton.service needs it, and Docker comes without it, too.
docker compose version >/dev/null 2>&1 || packages+=(docker-compose-v2)
! dpkg-query --show --showformat '${Status}\n' "${packages[@]}" 2>/dev/null | grep --count '^install ok installed$' \
    | grep --quiet --line-regexp "${#packages[@]}" || exit 0
export DEBIAN_FRONTEND=noninteractive
# Ubuntu updates itself at boot, too. The time-out is for dpkg's lock; that of the lists fails at once, so it is waited
# for here.
for try in {1..60}; do
    ! apt-get update || break
    [ "$try" -lt 60 ] || exit 1
    sleep "${APT_PAUSE:-5}"
done
apt-get -o DPkg::Lock::Timeout=600 install -y --no-install-recommends "${packages[@]}"
