#!/usr/bin/env bash
# Makes a virtual environment with Python 3.11 or newer in the folder given.
set -euo pipefail
venv=$1
python=${PYTHON3:-python3}

stop() {
    echo "create-venv: $1" >&2
    exit 1
}

command -v "$python" >/dev/null || stop "there is no $python. Debian and Ubuntu: apt-get install python3 python3-venv"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
    || stop "$("$python" --version 2>&1) is too old: Python 3.11 or newer is needed; set PYTHON3 to one"
if ! "$python" -c 'import ensurepip' 2>/dev/null; then
    # Debian and Ubuntu ship ensurepip apart.
    package=$(basename "$python")-venv
    "$(dirname "$0")/install-system-packages.sh" "$package"
    "$python" -c 'import ensurepip' 2>/dev/null \
        || stop "$python lacks ensurepip, which makes virtual environments. Debian and Ubuntu: apt-get install $package"
fi
"$python" -m venv "$venv"
