#!/usr/bin/env bash
# Writes the lock files anew: each package in one version, with the hashes of its files. They hold for Python 3.11 and
# newer, on Linux and macOS. Needs uv.
#   lock.sh [--upgrade]     with --upgrade to the newest versions allowed; without, what is locked and allowed stays
set -euo pipefail
cd "$(dirname "$0")/../.."

# Any Python will do: versions are looked up, nothing is built.
export UV_PYTHON_DOWNLOADS=never
options=(--universal --generate-hashes --no-emit-index-url --no-annotate --custom-compile-command 'make lock' "$@")
lock() {
    echo "$1"
    uv pip compile --quiet "${options[@]}" --output-file "$@"
}

# hatchling too: the project is built with what is installed, not with what an index has to offer.
build=$(sed -n '/^\[build-system\]/,/^$/ s/^requires = \["\(.*\)"\]$/\1/p' pyproject.toml)
lock requirements/server.txt --python-version 3.11 pyproject.toml --extra export --extra aws - <<<"$build"
lock requirements/development.txt --python-version 3.11 requirements/server.txt \
    pyproject.toml --extra test --extra check
lock requirements/tools.txt --python-version 3.11 --group tools

# For existing environments: the Python of AWS Lambda, and that of NVIDIA's image, whose numpy must stay.
lock lambdas/requirements.txt --python-version 3.11 --no-deps --constraints requirements/server.txt - <<<'pyjwt'
lock requirements/triton-cpu.txt --python-version 3.12 --no-emit-package numpy - <<<'onnxruntime==1.22.1'
