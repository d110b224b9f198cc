"""Searches for inputs that break a target or are slow: ``python -m tests.fuzz [TARGET] [--seconds 60]``.

The search is led by what code an input reaches, which atheris (``pip install atheris``, Linux) tells.
What it finds is kept in ``tests/fuzz/found`` and tried by every later run of the tests. The inputs that reach
something new are kept in ``artifacts/fuzz`` for the next search.
"""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
from pathlib import Path

from tests.fuzz import target
from tests.fuzz.budget import Budget, spend
from tests.fuzz.inputs import FOUND, kept

_REACHED = Path(__file__).parents[2] / "artifacts" / "fuzz"
_INSTRUMENTED = ["mediaserver", "signaling", "inference", "aiortc", "aioice", "jwt", "tomllib"]
_SLOWDOWN = 5.0
"""How much longer an input may take while the code is watched."""
_ONE_TARGET = "--only"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "target", nargs="?", choices=target.NAMES, help="all, one after the other, without it"
    )
    parser.add_argument("--seconds", type=int, default=60, help="for each target; 60 without it")
    parser.add_argument(_ONE_TARGET, action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if importlib.util.find_spec("atheris") is None:
        print("fuzzing needs atheris: `make fuzz` installs it, or `pip install '.[fuzz]'`; there is none for")
        print("macOS and Windows. `make test` replays the kept inputs without it.")
        return 1
    if given.only:
        _search(given.target, given.seconds)
    found = [
        name for name in ([given.target] if given.target else target.NAMES) if _finds(name, given.seconds)
    ]
    if found:
        print(f"broken or slow: {', '.join(found)}; the inputs are in {FOUND}")
    return 1 if found else 0


def _finds(name: str, seconds: int) -> bool:
    """Searches in a process of its own: a search ends its process, with its first find."""
    print(f"== {name}: {seconds} s", flush=True)
    command = [sys.executable, "-m", "tests.fuzz", name, "--seconds", str(seconds), _ONE_TARGET]
    return subprocess.run(command, check=False).returncode != 0


def _search(name: str, seconds: int) -> None:
    """Does not return: libFuzzer ends the process."""
    import atheris

    with atheris.instrument_imports(include=_INSTRUMENTED, enable_loader_override=False):
        tried = target.load(name)
    budget = Budget(tried.budget.base_s, tried.budget.per_byte_s)

    def one_input(data: bytes) -> None:
        spend(budget, tried.one_input, data, slowdown=_SLOWDOWN)

    reached, found = _REACHED / name, FOUND / name
    for folder in (reached, found):
        folder.mkdir(parents=True, exist_ok=True)
    for file, data in kept(name).items():
        (reached / file.replace("/", "-")).write_bytes(data)
    options = [
        f"-max_total_time={seconds}",
        f"-artifact_prefix={found}/",
        "-timeout=60",
        "-rss_limit_mb=4096",
    ]
    atheris.Setup([sys.argv[0], *options, "-max_len=4096", "-print_final_stats=1", str(reached)], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
