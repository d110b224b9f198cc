#!/bin/bash
# Runs at each boot: installs the missing parts and those of another source, and reports its progress. Idempotent. On a
# serving machine it upgrades the machine in place.
#
#   boot.sh SETTINGS     a file of lines NAME=value, as in the stack's parameter
#
# AWS_DEFAULT_REGION and STACK come from the environment.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
if [ $# -ne 1 ] || [ ! -f "$1" ]; then
    echo 'boot.sh: a file with the settings is needed' >&2
    exit 2
fi
settings=$1
for name in SOURCE_SHA256 DOMAIN EMAIL ACME_STAGING KEYS_SECRET CERTIFICATE_SECRET MODELS_BUCKET FLAVOUR ORIGIN \
    PUBLIC_IP UDP_RANGE MAX_RUN_MINUTES BOOT_LIMIT_MINUTES LOG_GROUP; do
    value=$(sed -n "s/^$name=//p" "$settings")
    if [ -z "$value" ]; then
        echo "boot.sh: $name is not in $settings" >&2
        exit 2
    fi
    export "$name=$value"
done

state=${BOOT_STATE:-/run/mediaserver-boot}
done_file=${BOOT_DONE:-/etc/mediaserver/installed-source}
steps=${BOOT_STEPS:-$here/steps}
rm -rf "$state"
mkdir -p "$state"

# IMDSv2: a token first.
metadata=${METADATA_URL:-http://169.254.169.254}/latest
token=$(curl -fsS --retry 5 --retry-connrefused -X PUT "$metadata/api/token" -H 'X-aws-ec2-metadata-token-ttl-seconds: 300')
about() {
    curl -fsS --retry 5 "$metadata/meta-data/$1" -H "X-aws-ec2-metadata-token: $token"
}
INSTANCE=$(about instance-id)
LOCAL_IP=$(about local-ipv4)
export INSTANCE LOCAL_IP

progress() {
    PYTHONPATH=$here python3 -m start_progress --state "$state" "$@"
}

# CloudFormation waits for this signal of a machine that it makes. Other machines need no signal.
signal() {
    [ ! -e "$done_file.signalled" ] || return 0
    local resource
    resource=$(aws ec2 describe-tags --output text --query 'Tags[0].Value' \
        --filters "Name=resource-id,Values=$INSTANCE" Name=key,Values=aws:cloudformation:logical-id) || return 0
    ! aws cloudformation signal-resource --stack-name "$STACK" --logical-resource-id "$resource" \
        --unique-id "$INSTANCE" --status "$1" || touch "$done_file.signalled"
}

# Straight to CloudWatch, where the alarm looks: the agent may be what could not be installed.
log() {
    echo "$1"
    aws logs create-log-stream --log-group-name "$LOG_GROUP" --log-stream-name "$INSTANCE/boot" || true
    aws logs put-log-events --log-group-name "$LOG_GROUP" --log-stream-name "$INSTANCE/boot" \
        --log-events "[{\"timestamp\": $(date +%s000), \"message\": \"$1\"}]" || true
}

give_up() {
    echo "$1" >"$state/failed"
    log "boot failed: $1"
    wait "$watch" || true
    signal FAILURE
    exit 1
}

# step NAME WORDS [TRIES]: steps/NAME.sh, tried again after a while; the report shows WORDS.
step() {
    local try tries=${3:-5}
    echo "$2" >"$state/step"
    for ((try = 1; try <= tries; try++)); do
        echo "boot: $1, try $try of $tries"
        "$steps/$1.sh" && return
        sleep "${BOOT_PAUSE:-$((try * 15))}"
    done
    missed "$1"
}

# A machine that was installed before goes on in its old state.
missed() {
    [ -e "$done_file" ] || give_up "$1"
    log "boot failed: $1; what was installed before goes on"
    all_done=false
}

all_done=true first=()
[ -e "$done_file" ] || first=(--first)
progress watch --stack "$STACK" --instance "$INSTANCE" --limit-s $((BOOT_LIMIT_MINUTES * 60)) "${first[@]}" &
watch=$!

# First: the machine powers itself off in the end, also if a step below fails.
step settings settings
step docker Docker
image=$(sed -n 's/^ *image: \(nvcr\.io.*\)$/\1/p' "$here/../compose.yaml" | head -n 1)
# Beside the rest, as it takes longest. The disk has room for this release and for a container's older release.
{
    docker image inspect "$image" >/dev/null 2>&1 || {
        docker image prune --all --force || true
        progress pull "$image"
    }
} &
pull=$!
step packages packages
step logs 'the log'
# Let's Encrypt allows five failures an hour.
step certificate 'the certificate' 2
step models models
wait "$pull" || missed 'fetching the model server'
step install 'the media server'
! $all_done || echo "$SOURCE_SHA256" >"$done_file"
rm "$state/step"

if wait "$watch"; then
    echo "boot: ready"
    signal SUCCESS
else
    give_up 'the server does not come up'
fi
