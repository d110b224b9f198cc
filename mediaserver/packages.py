"""Packages of this environment: install commands for missing packages, and name conflicts."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path

PROJECT = "mediaserver"
_SHARED_NAME = "inference"
"""A top-level package of the project, and also of a well-known distribution on PyPI."""

OWN_ENVIRONMENT = "install mediaserver into a virtual environment of its own"


def pip_install(requirements: Iterable[str]) -> str:
    """Returns the shell command that installs ``requirements`` into this environment.

    It names the packages instead of an extra of the project, which works from a checkout and a wheel alike.
    """
    return shlex.join((sys.executable, "-m", "pip", "install", *requirements))


def required_by(extra: str) -> list[str]:
    """Returns the requirements that an extra adds, such as ``onnx<2,>=1.18``.

    The list is empty if the project is not installed.
    """
    from packaging.requirements import Requirement  # noqa: PLC0415 - needed for error messages only

    found = []
    for requirement in map(Requirement, declared_requirements()):
        marker = requirement.marker
        if marker is None or marker.evaluate({"extra": ""}) or not marker.evaluate({"extra": extra}):
            continue
        if requirement.name == PROJECT:  # an extra that consists of others
            found += [item for other in sorted(requirement.extras) for item in required_by(other)]
        else:
            found.append(f"{requirement.name}{requirement.specifier}")
    return found


def declared_requirements() -> list[str]:
    """Returns the project's requirements from its metadata, including those of extras."""
    try:
        return importlib.metadata.requires(PROJECT) or []
    except importlib.metadata.PackageNotFoundError:
        return []


def conflict() -> str | None:
    """Describes a distribution with a package of the same name as the project's; ``None`` if there is none.

    If Python finds the other package first, the project's is hidden. If both are in one folder, the later
    installation has overwritten files of the earlier. Removing either then removes both.
    """
    spec = importlib.util.find_spec(_SHARED_NAME)
    ours = Path(__file__).resolve().parents[1] / _SHARED_NAME / "__init__.py"
    if spec is None or spec.origin is None or Path(spec.origin).resolve() != ours:
        place = "nothing" if spec is None else spec.origin or ", ".join(spec.submodule_search_locations or ())
        return f"Python finds {place} where mediaserver has its package {_SHARED_NAME!r}"
    others = set(importlib.metadata.packages_distributions().get(_SHARED_NAME, ())) - {PROJECT}
    if others:
        names = ", ".join(sorted(others))
        return f"mediaserver and {names} each install a package {_SHARED_NAME!r}, one over the other"
    return None
