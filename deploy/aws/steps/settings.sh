#!/bin/bash
# The settings of this stack, and the units of a machine on AWS. Nothing is reloaded that has not changed: containers may
# lose their GPU by that (NVIDIA Container Toolkit, "Troubleshooting": systemctl daemon-reload).
set -euo pipefail
aws=$(cd "$(dirname "$0")/.." && pwd)
etc=${ETC:-/etc}
units=$etc/systemd/system
changed=false

# put FILE: from standard input, if it is not so already.
put() {
    local part
    part=$(mktemp)
    cat >"$part"
    if ! cmp --silent "$part" "$1"; then
        install -D -m 644 "$part" "$1"
        changed=true
    fi
    rm "$part"
}

for unit in "$aws"/systemd/mediaserver-*; do
    put "$units/${unit##*/}" <"$unit"
done
put "$units/mediaserver.service.d/aws.conf" <"$aws/systemd/mediaserver.conf"
# Five minutes after the functions should have stopped it.
put "$units/mediaserver-max-run.timer.d/time.conf" <<END
[Timer]
OnBootSec=$((MAX_RUN_MINUTES + 5))min
END
if $changed; then
    systemctl daemon-reload
fi
changed=false
# Only the private address behind the stack's public address. docker0 and others have the same public address, and no
# path.
put "$etc/mediaserver/aws.env" <<END
AWS_DEFAULT_REGION=$AWS_DEFAULT_REGION
KEYS_SECRET=$KEYS_SECRET
MEDIASERVER_ALLOWED_ORIGINS=$ORIGIN
MEDIASERVER_PUBLIC_IP=$PUBLIC_IP
MEDIASERVER_ICE_INTERFACES=$LOCAL_IP
HEARTBEAT_INSTANCE=$INSTANCE
END
# A server that started beside this script has read the settings of before. Not try-restart: that leaves a unit alone
# that is still starting, as the server is until Triton answers.
if $changed && [ -e "$units/mediaserver.service" ]; then
    case $(systemctl show --property ActiveState --value mediaserver.service) in
        active | activating | reloading) systemctl --no-block restart mediaserver.service ;;
    esac
fi
# Only where it is not done: enabling reloads, too.
systemctl --quiet is-enabled mediaserver-max-run.timer || systemctl enable --now mediaserver-max-run.timer
# Now, too: no later boot needs it as much as the first one from an image.
systemctl --quiet is-enabled mediaserver-read-ahead.service || systemctl enable --now mediaserver-read-ahead.service
