"""What a built wheel holds besides the Python packages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

from mediaserver.paths import page_file

ROOT = Path(__file__).parents[2]
NOT_SHIPPED = ("tests/", "package.json", "tsconfig.json")
"""In ``web/``: for those who work on the page."""


def test_the_page_is_in_it_and_what_only_developers_need_is_not(tmp_path: Path) -> None:
    build = (sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path))
    subprocess.run(build, cwd=ROOT, check=True)
    [wheel] = tmp_path.glob("*.whl")
    page = {
        str(path.relative_to(ROOT / "web"))
        for path in (ROOT / "web").rglob("*")
        if path.is_file() and not str(path.relative_to(ROOT / "web")).startswith(NOT_SHIPPED)
    }
    prefix = "mediaserver/web/"
    with ZipFile(wheel) as archive:
        shipped = {name.removeprefix(prefix) for name in archive.namelist() if name.startswith(prefix)}
    assert shipped == page
    assert [name for name in shipped if page_file(name) is None] == []
