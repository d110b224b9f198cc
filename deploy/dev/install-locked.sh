#!/usr/bin/env bash
# Installs the packages of a lock file, each file checked by its hash. Then it installs the project without a fetch.
#   install-locked.sh VENV LOCK [PROJECT...]     PROJECT: a checkout, `--editable` and a checkout, or a wheel
set -euo pipefail
venv=$1 lock=$2
shift 2
pip=("$venv/bin/python" -m pip install --disable-pip-version-check --no-input)

# Of all that pip says: how far it is, in place where there is a terminal. The rest only when it fails.
problems=$(mktemp)
trap 'rm "$problems"' EXIT
over=''
[ ! -t 1 ] || over='\r\033[K'
"${pip[@]}" --require-hashes --requirement "$lock" 2>"$problems" | awk -v over="$over" '
    /^(Collecting|Processing) / { count++; sub(".*/", "", $2); sub(/(==|-[0-9]).*/, "", $2); if (over) printf over "  %d %s", count, $2; fflush() }
    /^Installing / { printf over "  packages fetched and checked: %d; installing them\n", count; fflush() }
' || {
    cat "$problems" >&2
    exit 1
}
[ $# -eq 0 ] || "${pip[@]}" --quiet --no-deps --no-build-isolation "$@"
