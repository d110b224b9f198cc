#!/usr/bin/env bash
# Makes a virtual environment with Python 3.11 or newer in the folder given.
set -euo pipefail
venv=$1
python=${PYTHON3:-python3}

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
  echo "create-venv: Python 3.11 or newer is needed; set PYTHON3 to one" >&2
  exit 1
fi
if ! "$python" -c 'import ensurepip' 2>/dev/null; then
  # Debian and Ubuntu ship ensurepip apart.
  "$(dirname "$0")/install-system-packages.sh" python3-venv
fi
"$python" -m venv "$venv"
