#!/usr/bin/env bash
# Runs the fast part of the suite on other Pythons than the suite's own. It looks on the path and in pyenv and uv. It
# skips a missing Python and names it.
#   test-pythons.sh VENV VERSION...     VENV: that of the suite; those of the others are made inside
set -euo pipefail
cd "$(dirname "$0")/../.."
venv=$1
shift

# find_python VERSION: a Python of that version which starts; the shims of pyenv need not.
find_python() {
    local candidate
    for candidate in "$(command -v "python$1")" \
        "$(ls -d "$(pyenv root 2>/dev/null)/versions/$1".*/bin/python 2>/dev/null | sort -V | tail -1)" \
        "$(uv python find --no-python-downloads "$1" 2>/dev/null)"; do
        if [ -n "$candidate" ] && "$candidate" -c '' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    return 1
}

own=$("$venv/bin/python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
for version in "$@"; do
    if [ "$version" = "$own" ]; then
        echo "Python $version: the suite's own, make test"
        continue
    fi
    if ! python=$(find_python "$version"); then
        echo "Python $version: skipped, as there is none here: not on the path, nor among those of pyenv or uv"
        continue
    fi
    echo "Python $version: $python"
    other=$venv/python$version installed=$venv/python$version/.installed
    if [ ! -e "$installed" ] || [ requirements/development.txt -nt "$installed" ] || [ pyproject.toml -nt "$installed" ]; then
        PYTHON3=$python deploy/dev/create-venv.sh "$other"
        deploy/dev/install-locked.sh "$other" requirements/development.txt --editable .
        touch "$installed"
    fi
    "$other/bin/python" -m pytest -m 'not slow' --numprocesses logical --dist loadfile --no-loadscope-reorder
done
