#!/bin/bash
# Installs the media server of this source, with these settings and models. Idempotent.
set -euo pipefail
root=$(cd "$(dirname "$0")/../../.." && pwd)
state=${STATE_FOLDER:-/var/lib/mediaserver}
installer=${INSTALLER:-$root/deploy/systemd/install.sh}
options=(--domain "$DOMAIN" --udp-range "$UDP_RANGE" --flavour "$FLAVOUR")
# Else the built-in models stay, until there are others.
[ -z "$(ls "$state/models" 2>/dev/null)" ] || options+=(--models "$state/models")
wanted="$SOURCE_SHA256 ${options[*]}"
if [ "$(cat "$state/installed" 2>/dev/null)" = "$wanted" ] && [ ! -e "$state/models-changed" ]; then
    exit 0
fi
# The installer keeps an existing site, which may be edited by hand.
site=${ETC:-/etc}/nginx/conf.d/mediaserver.conf
grep --quiet --no-messages --fixed-strings " $DOMAIN;" "$site" || rm -f "$site"
"$installer" "${options[@]}"
mkdir -p "$state"
echo "$wanted" >"$state/installed"
rm -f "$state/models-changed"
