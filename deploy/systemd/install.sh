#!/usr/bin/env bash
# Installs the media server on this machine, or upgrades it; safe to repeat. --help says more.
set -euo pipefail
umask 022
here=$(cd "$(dirname "$0")" && pwd)
checkout=$(cd "$here/../.." && pwd)
opt=/opt/mediaserver etc=/etc/mediaserver state=/var/lib/mediaserver cache=/var/cache/mediaserver units=/etc/systemd/system
installed=$opt/installed # what was put where: lines of sha256sum

usage() {
    cat <<END
usage: install.sh [options]

Installs the media server from the checkout that this script lies in: a release in $opt/releases, settings in
$etc, systemd units, kernel settings for media, and nginx's site. Starts it, now and at each boot. Run it
again to upgrade, with a newer checkout, or to go back, with an older one. Settings that you edited stay as they are.

  --models DIR        write Triton's model repository, $state/triton, anew from the models in DIR; without
                      it only where there is none, from those in $state/models
  --flavour FLAVOUR   of that repository: onnx (default), tensorrt or cpu (triton/README.md)
  --domain NAME       set up nginx for this name; its certificate must be there
  --udp-range A-B     UDP ports of media instead of 40000-49999
  --wheel FILE        install this wheel of mediaserver instead of the checkout's source
  --no-start          put everything in place, start nothing
  --dry-run           say each step, change nothing
END
}

stop() {
    echo "install.sh: $1" >&2
    exit "${2:-1}"
}

models='' flavour=onnx domain='' udp_range='' wheel='' start=true dry_run=false
while [ $# -gt 0 ]; do
    case $1 in
        --models | --flavour | --domain | --udp-range | --wheel)
            [ $# -gt 1 ] || stop "$1 needs a value" 2
            name=${1#--}
            printf -v "${name/-/_}" %s "$2"
            shift
            ;;
        --no-start) start=false ;;
        --dry-run) dry_run=true ;;
        --help)
            usage
            exit
            ;;
        *) stop "unknown option $1; --help lists all" 2 ;;
    esac
    shift
done
[[ -z $udp_range || $udp_range =~ ^[0-9]{4,5}-[0-9]{4,5}$ ]] || stop "--udp-range is '$udp_range', not like 40000-49999" 2
[[ -z $udp_range ]] || ((10#${udp_range%-*} < 10#${udp_range#*-} && 10#${udp_range#*-} <= 65535)) \
    || stop "--udp-range is '$udp_range', no range of ports" 2
[[ -z $domain || $domain =~ ^[A-Za-z0-9.-]+$ ]] || stop "--domain is '$domain', not a name like media.example.org" 2
[[ $flavour =~ ^(onnx|tensorrt|cpu)$ ]] || stop "--flavour is '$flavour', not onnx, tensorrt or cpu" 2
[ -z "$models" ] || [ -d "$models" ] || stop "--models: no folder $models" 2
[ -z "$wheel" ] || [ -f "$wheel" ] || stop "--wheel: no file $wheel" 2
[ -z "$wheel" ] || wheel=$(realpath "$wheel")
$dry_run || [ "$(id -u)" -eq 0 ] || stop 'this needs root; --dry-run does not'
command -v systemctl >/dev/null || stop 'this machine has no systemd'

# --- steps ---

changed=false units_changed=false triton_changed=false
say() { printf '%s\n' "$*"; }

# A step that changes something: said, then done unless this is a dry run.
run() {
    say "  + $*"
    changed=true
    $dry_run || "$@"
}

# remember FILE: as it is now, it is ours.
remember() {
    local others
    others=$(grep --invert-match "  $1\$" "$installed" 2>/dev/null || true)
    printf '%s\n' "$others" "$(sha256sum "$1")" | sed '/^$/d' >"$installed.part"
    mv "$installed.part" "$installed"
}

# place SOURCE TARGET: a file of ours, replaced by each upgrade. An edited file stays, and ours lies beside it.
place() {
    local target=$2
    cmp --silent "$1" "$target" && return
    if [ -e "$target" ] && ! grep --no-messages "  $target\$" "$installed" | sha256sum --check --status 2>/dev/null; then
        say "  ! $target was edited here and stays; this version's is $target.new"
        cmp --silent "$1" "$target.new" || run install -D -m 644 "$1" "$target.new"
        return
    fi
    [[ $target != */triton.service ]] || triton_changed=true
    [[ $target != "$units"/* ]] || units_changed=true
    run install -D -m 644 "$1" "$target"
    $dry_run || remember "$target"
}

# Whether a daemon-reload may have taken the GPU from a running Triton. It may if systemd is the driver of Docker's
# cgroups (NVIDIA/nvidia-docker#1730). With cgroupfs or CDI Triton keeps the GPU.
loses_gpu() {
    [ -e /dev/nvidiactl ] && systemctl --quiet is-active triton.service \
        && [ "$(docker info --format '{{.CgroupDriver}}' 2>/dev/null)" = systemd ]
}

# settings TARGET MODE TEXT: written once, and the operator's from then on.
settings() {
    if [ -e "$1" ]; then
        say "  = $1 is there and stays"
        return
    fi
    say "  + write $1"
    changed=true
    $dry_run || install -D -m "$2" /dev/stdin "$1" <<<"$3"
}

# --- what and under which name ---

locked=$checkout/requirements/server.txt
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$checkout/pyproject.toml")
if [ -n "$wheel" ]; then
    version=$(basename "$wheel" | cut -d - -f 2)
    digest=$(cat "$wheel" "$locked" "$checkout/deploy/compose.yaml" | sha256sum)
else
    digest=$(cd "$checkout" && find pyproject.toml requirements/server.txt deploy/compose.yaml \
        mediaserver signaling inference web triton \
        -type f -not -path '*/__pycache__/*' -print0 | sort --zero-terminated | xargs -0 sha256sum | sha256sum)
fi
release=$opt/releases/$version-${digest:0:12}
previous=$(readlink "$opt/current" || true)

say "Release $release"
if [ -e "$release/complete" ]; then
    say '  = is there'
else
    source=${wheel:-$checkout}
    run rm -rf "$release"
    run install -d "$release"
    run "$checkout/deploy/dev/create-venv.sh" "$release/venv"
    run "$checkout/deploy/dev/install-locked.sh" "$release/venv" "$locked" "$source"
    # A wheel of another version may need other packages.
    run "$release/venv/bin/python" -m pip --disable-pip-version-check check
    run install -m 644 "$checkout/deploy/compose.yaml" "$release/compose.yaml"
    # nginx serves the page of the very release that runs.
    $dry_run || web=$("$release/venv/bin/python" -c 'import mediaserver, pathlib; print(pathlib.Path(mediaserver.__file__).parent / "web")')
    run ln -s "${web:-.../mediaserver/web}" "$release/web"
    run touch "$release/complete"
fi

say 'User and folders'
getent passwd mediaserver >/dev/null || run systemd-sysusers "$here/mediaserver.sysusers"
for folder in $etc $state $state/models $state/triton; do
    [ -d "$folder" ] || run install -d -m 755 "$folder"
done
# Triton's user in the container keeps the engines there that it builds.
[ -d $cache/triton ] || run install -d -m 755 -o 1000 -g 1000 $cache/triton

say 'Settings'
key=$(od -A n -N 32 -t x1 /dev/urandom | tr -d ' \n')
settings $etc/mediaserver.env 600 "$(sed "s/@KEY@/$key/" "$here/mediaserver.env")"
engine=$(grep --no-messages '^MEDIASERVER_ENGINE=' $etc/mediaserver.env || cat "$here/mediaserver.env")
engine=$(sed -n 's/^MEDIASERVER_ENGINE=//p' <<<"$engine" | tail -n 1)
sysctl=/etc/sysctl.d/60-mediaserver.conf
range=${udp_range:-40000-49999}
# A range from the command line replaces the file.
[ -z "$udp_range" ] || ! [ -e $sysctl ] || grep --quiet " ${range/-/ }\$" $sysctl || run rm $sysctl
settings $sysctl 644 "$(sed "s/40000 49999/${range/-/ }/" "$here/mediaserver.sysctl")"

frames_group=$(getent group mediaserver | cut -d : -f 3 || true)
settings $etc/triton.env 644 "FRAMES_GROUP=${frames_group:-...}"

say 'Units'
for unit in "$here"/*.{target,service,timer}; do
    place "$unit" "$units/${unit##*/}"
done

if [ "$engine" != embedded ] && [[ -n $models || -z $(ls $state/triton 2>/dev/null) ]]; then
    say "Triton's model repository"
    [[ -n $models || -n $(ls $state/models 2>/dev/null) ]] \
        || say '  ! no models were named (--models): those that root pulled, else the built-in ones, which know a drawn world only'
    if run "$release/venv/bin/mediaserver" triton repository $state/triton --models "${models:-$state/models}" --flavour "$flavour"; then
        run "$release/venv/bin/mediaserver" triton check $state/triton \
            || say '! Triton or TensorRT may refuse what is named above, or run it slowly'
        triton_changed=true
    elif [ -n "$models" ]; then
        exit 1
    else
        say "! Triton has no models yet; run this again with --models"
    fi
fi

# --- nginx ---

site=/etc/nginx/conf.d/mediaserver.conf certificate=/etc/letsencrypt/live/$domain/fullchain.pem
if [ -z "$domain" ] && ! [ -e $site ]; then
    say 'nginx: not set up, as no --domain was given'
elif ! [ -d /etc/nginx ]; then
    say '! nginx is not installed; install it and run this again'
elif ! [ -e $site ] && ! [ -e "$certificate" ]; then
    say "! nginx: $certificate is not there; get the certificate and run this again"
else
    say 'nginx'
    for part in "$checkout"/deploy/nginx/mediaserver/*; do
        place "$part" "/etc/nginx/mediaserver/${part##*/}"
    done
    settings $site 644 "$(sed "s/media\.example\.org/$domain/g" "$checkout/deploy/nginx/mediaserver.conf")"
    # Debian's own site claims to be the default one, as ours does.
    ! [ -L /etc/nginx/sites-enabled/default ] || run rm /etc/nginx/sites-enabled/default
    if ! $dry_run && ! nginx -q -t; then
        stop 'nginx does not take the site; its words are above. Nothing was started'
    fi
fi

# --- switch over ---

say 'Start'
cmp --silent "$opt/current/compose.yaml" "$checkout/deploy/compose.yaml" || triton_changed=true
if [ "$previous" != "$release" ]; then
    run ln -sfn "$release" $opt/current
    # The last one stays, to go back to.
    for old in "$opt"/releases/*; do
        [ "$old" = "$release" ] || [ "$old" = "$previous" ] || ! [ -e "$old" ] || run rm -rf "$old"
    done
fi
wanted=(mediaserver.target mediaserver.service mediaserver-heartbeat.timer)
if [ "$engine" = embedded ]; then
    ! systemctl --quiet is-enabled triton.service 2>/dev/null || run systemctl disable --now --quiet triton.service
else
    wanted+=(triton.service)
fi
added=()
for unit in "${wanted[@]}"; do
    if ! systemctl --quiet is-enabled "$unit" 2>/dev/null; then
        run systemctl enable --quiet "$unit"
        added+=("$unit")
    fi
done

# Not try-restart: it leaves a unit alone that is still starting, as the server is until Triton answers.
restart_if_up() {
    case $(systemctl show --property ActiveState --value "$1") in
        active | activating | reloading) run systemctl --no-block restart "$1" ;;
    esac
}

if [ -d /run/systemd/system ]; then
    if $units_changed; then
        run systemctl daemon-reload
        ! loses_gpu || triton_changed=true
    fi
    if $changed; then
        run systemctl restart systemd-sysctl.service
        ! systemctl --quiet is-active nginx.service || run systemctl reload nginx.service
    fi
    if $start; then
        # What runs already is restarted where it must be; Triton seldom, as its models may take minutes to load.
        # The installer waits for nothing: the server becomes ready when the models answer.
        ! $triton_changed || restart_if_up triton.service
        ! $changed || restart_if_up mediaserver.service
        # A target that is active does not start what was added to it.
        ! systemctl --quiet is-active mediaserver.target || [ ${#added[@]} = 0 ] || run systemctl --no-block start "${added[@]}"
        systemctl --quiet is-active mediaserver.target || run systemctl --no-block start mediaserver.target
    fi
fi

say 'Done. What runs and why not: systemctl status mediaserver triton'
[ "$engine" = embedded ] || command -v docker >/dev/null || say '! Docker is not there; triton.service needs it, with Compose'
