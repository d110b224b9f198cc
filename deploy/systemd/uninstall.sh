#!/usr/bin/env bash
# Takes away what install.sh put in place. Settings and models stay, unless --purge is given.
set -euo pipefail
opt=/opt/mediaserver etc=/etc/mediaserver state=/var/lib/mediaserver cache=/var/cache/mediaserver site=/etc/nginx/conf.d/mediaserver.conf

purge=false dry_run=false
for option in "$@"; do
    case $option in
        --purge) purge=true ;;
        --dry-run) dry_run=true ;;
        --help)
            echo "usage: uninstall.sh [--purge] [--dry-run]"
            echo "Stops and removes the media server. --purge: its settings in $etc, models in $state and user, too."
            exit
            ;;
        *)
            echo "uninstall.sh: unknown option $option; --help lists all" >&2
            exit 2
            ;;
    esac
done
if ! $dry_run && [ "$(id -u)" -ne 0 ]; then
    echo 'uninstall.sh: this needs root; --dry-run does not' >&2
    exit 1
fi

run() {
    printf '  + %s\n' "$*"
    $dry_run || "$@"
}

names=(mediaserver.target mediaserver.service mediaserver-heartbeat.timer triton.service)
if [ -d /run/systemd/system ]; then
    for unit in "${names[@]}" mediaserver-heartbeat.service; do
        ! systemctl --quiet is-active "$unit" || run systemctl stop "$unit"
    done
fi
for unit in "${names[@]}"; do
    ! systemctl --quiet is-enabled "$unit" 2>/dev/null || run systemctl disable --quiet "$unit"
done
if command -v docker >/dev/null && [ -e $opt/current/compose.yaml ]; then
    run docker compose --file $opt/current/compose.yaml down
fi

if [ -e $site ]; then
    # It would not load without its parts. It may have been edited: kept, under a name that nginx does not read.
    run mv $site $site.uninstalled
fi
if [ -e $opt/installed ]; then
    while read -r _ file; do
        for placed in "$file" "$file.new"; do
            ! [ -e "$placed" ] || run rm "$placed"
        done
    done <$opt/installed
fi
# Not all of /opt/mediaserver: the checkout may lie there.
for path in $cache $opt/releases $opt/current $opt/installed /etc/sysctl.d/60-mediaserver.conf; do
    [[ ! -e $path && ! -L $path ]] || run rm -rf "$path"
done
for folder in $opt /etc/nginx/mediaserver; do
    ! [ -d "$folder" ] || [ -n "$(ls -A "$folder")" ] || run rmdir "$folder"
done
if $purge; then
    run rm -rf $etc $state $site.uninstalled
    ! getent passwd mediaserver >/dev/null || run userdel mediaserver
fi
if [ -d /run/systemd/system ]; then
    run systemctl daemon-reload
    ! systemctl --quiet is-active nginx.service || run systemctl reload nginx.service
fi
echo 'Done. What else the kernel was told (sysctl) holds until the next boot.'
