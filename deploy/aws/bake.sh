#!/bin/bash
# Packer runs it on the machine that becomes the image. It fetches all that a first boot would fetch. The image has no
# secret and nothing of one stack. The source lies in /opt/mediaserver-source.
#   bake.sh [MODELS]     MODELS: folder with models, in place of the built-in ones
set -euo pipefail
source=/opt/mediaserver-source state=/var/lib/mediaserver
export BAKING=yes
"$source/deploy/aws/steps/docker.sh"
"$source/deploy/aws/steps/packages.sh"
"$source/deploy/aws/steps/logs.sh"
image=$(sed -n 's/^ *image: \(nvcr\.io.*\)$/\1/p' "$source/deploy/compose.yaml" | head -n 1)
docker pull --quiet "$image"
mkdir -p "$state/models"
[ -z "${1:-}" ] || cp --recursive "$1"/. "$state/models/"
"$source/deploy/systemd/install.sh" --no-start

# On the stack's own type of GPU, so that its engines are those that the machine will look for.
docker compose --file /opt/mediaserver/current/compose.yaml up --detach --wait --wait-timeout 1800 triton
docker compose --file /opt/mediaserver/current/compose.yaml down

# The installer's key is this machine's; each machine makes its own.
rm -f /etc/mediaserver/mediaserver.env
rm -rf /var/lib/apt/lists/*
cloud-init clean --logs --machine-id
