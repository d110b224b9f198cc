"""The tests of the page's modules, ``web/tests``, in node's own test runner."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.web.node import WEB, run_node


@pytest.mark.parametrize("file", sorted((WEB / "tests").glob("*.test.js")), ids=lambda path: path.name)
def test_a_module_of_the_page(file: Path) -> None:
    ran = run_node("--test", "--test-reporter=spec", str(file))
    if ran.returncode != 0:
        pytest.fail((ran.stdout + ran.stderr).decode(), pytrace=False)
