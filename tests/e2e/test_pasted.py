"""The code blocks of documents, each run as pasted, in the order of its document."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.support.code_blocks import ROOT, code_blocks
from tests.support.pulled import source_files
from tests.support.sandbox import sandbox
from tests.support.tiny_models import DETECTOR
from tests.test_documents import DATA, PASTED


@pytest.fixture(scope="module")
def model_files() -> Path:
    """A mirror with the models of the npm package."""
    return source_files("nanodet_g")[0].parent


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory, clip: Path, tiny_models: Path) -> Path:
    """The files that the documents call yours."""
    folder = tmp_path_factory.mktemp("yours")
    shutil.copy(clip, folder / "clip.mp4")
    shutil.copy(tiny_models / f"{DETECTOR}.onnx", folder / "forklifts.onnx")
    shutil.copy(ROOT / "docs" / "images" / "page.jpg", folder / "photo.jpg")
    (folder / "pictures").mkdir()
    shutil.copy(folder / "photo.jpg", folder / "pictures")
    return folder


@pytest.mark.parametrize("document", sorted(PASTED))
async def test_the_blocks_of_a_document_run_as_pasted(
    document: str, tmp_path: Path, model_files: Path, recordings: Path
) -> None:
    blocks = [block for block in code_blocks(ROOT / document) if block.language not in DATA]
    printed = []
    async with sandbox(tmp_path, model_files) as box:
        shutil.copytree(recordings, box.folder, dirs_exist_ok=True)
        if document == "docs/python.md":  # as its first lines have it
            await box.serve()
        for block in blocks:
            printed.append(await box.run(block))
        written = box.folder / "results.jsonl"
        lines = written.read_text().splitlines() if written.exists() else []
    if document == "docs/tutorial.md":
        assert {json.loads(line)["clip"] for line in lines} == {"clip.mp4"}
        assert (box.folder / "annotated.mp4").stat().st_size > 10_000
        (counted,) = (text for text in printed if text.startswith("[("))
        assert "person" in counted
    if document == "docs/python.md":
        assert any(re.search(r"^\d+ \[", text, re.MULTILINE) for text in printed)
        assert any("the runs agree" in text for text in printed)
