#!/bin/bash
# Copies the models of the stack's bucket. Models that were put on an earlier machine by hand are not in it.
set -euo pipefail
models=${STATE_FOLDER:-/var/lib/mediaserver}/models
mkdir -p "$models"
before=$(cd "$models" && find . -type f -printf '%P %s %T@\n' | sort)
aws s3 sync "s3://$MODELS_BUCKET/" "$models/" --delete --no-progress
[ "$before" = "$(cd "$models" && find . -type f -printf '%P %s %T@\n' | sort)" ] || touch "$models/../models-changed"
