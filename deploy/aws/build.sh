#!/bin/sh
# Puts the functions and what they need beside boto3 into build/lambda, from where the template takes them.
set -eu
cd "$(dirname "$0")/../.."
out=${1:-build/lambda}

rm -rf "$out"
mkdir -p "$out/lambdas"
cp lambdas/*.py "$out/lambdas/"
# Pure Python: the same files on every architecture. HS256 needs none of its extras.
python3 -m pip install --quiet --disable-pip-version-check --no-compile --no-deps \
    --require-hashes --only-binary :all: --target "$out" --requirement lambdas/requirements.txt
