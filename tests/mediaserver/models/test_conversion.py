"""The graphs of the catalogue, fetched from npm, against what TensorFlow.js makes of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from inference.catalogue import find_models
from inference.engines.contract import HeadLayout, Task
from inference.engines.embedded import EmbeddedEngine
from inference.stages import Stage
from mediaserver.errors import ModelError
from mediaserver.models import conversion
from mediaserver.models.conversion import (
    CONVERSIONS,
    convert,
    head,
    recorded_part,
    recorded_picture,
    recorded_values,
)
from mediaserver.models.nanodet import SIZES, InputSize
from mediaserver.models.onnx_export import load_network, with_preprocessing
from mediaserver.models.sources import SOURCES
from mediaserver.models.tfjs_graph import read_graph
from rendered_world import film
from tests.support.originals import original
from tests.support.pulled import source_files


@pytest.fixture(scope="module", params=list(CONVERSIONS))
def name(request: pytest.FixtureRequest) -> str:
    source_files(request.param)
    return str(request.param)


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all of them."""
    folder = tmp_path_factory.mktemp("converted")
    for each in CONVERSIONS:
        convert(each, *source_files(each), folder / f"{each}.onnx")
    return folder


def test_each_number_is_the_originals(name: str) -> None:
    expected = original(name)
    found = head(CONVERSIONS[name](read_graph(*source_files(name))))
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=1e-3)
    # What was recorded of it, for those who convert without TensorFlow.js, is still so.
    np.testing.assert_allclose(recorded_part(name, expected), recorded_values(name), atol=1e-4)


def test_a_model_that_gives_other_numbers_is_not_written(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    difference = convert(name, *source_files(name), tmp_path / "right.onnx")
    assert difference < 1e-3
    monkeypatch.setattr(conversion, "recorded_values", lambda name: recorded_values(name) + 0.01)
    with pytest.raises(ModelError, match=r"differs from the original by 0\.01"):
        convert(name, *source_files(name), tmp_path / "wrong.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["right.onnx"]


def test_weights_are_stored_as_they_came(name: str, tmp_path: Path) -> None:
    """In 16 bits, so the file is no larger than what was fetched, and not a bit of them is lost."""
    convert(name, *source_files(name), tmp_path / "model.onnx")
    _, weights = source_files(name)
    assert (tmp_path / "model.onnx").stat().st_size < 1.05 * weights.stat().st_size
    stored = onnx.load(tmp_path / "model.onnx").graph.initializer
    assert max(stored, key=lambda item: np.prod(item.dims)).data_type == TensorProto.FLOAT16


@pytest.mark.parametrize(("name", "size"), SIZES.items())
async def test_a_detector_looks_at_the_size_that_it_is_pulled_for(
    converted: Path, name: str, size: InputSize
) -> None:
    with_all_sizes = find_models(converted, named={Stage.DETECT: name})
    engine = await EmbeddedEngine.open({Task.DETECT: with_all_sizes[Task.DETECT]})
    placement = engine.models[Task.DETECT].placement
    await engine.close()
    assert placement is not None
    assert (placement.width, placement.height) == (size.width, size.height)


async def test_what_is_converted_is_found_used_and_runs_in_batches(converted: Path) -> None:
    files = find_models(converted)
    names = {
        task: path.stem for task, path in files.items() if task in (Task.DETECT, Task.POSE, Task.POSE_CROP)
    }
    assert names == {
        Task.DETECT: "nanodet_g",
        Task.POSE: "movenet_multipose",
        Task.POSE_CROP: "movenet_thunder_topdown",
    }
    engine = await EmbeddedEngine.open({task: files[task] for task in names})
    try:
        infos = engine.models
        assert (infos[Task.DETECT].layout, len(infos[Task.DETECT].labels)) == (
            HeadLayout.ULTRALYTICS_DETECT,
            80,
        )
        assert infos[Task.POSE].layout is HeadLayout.END_TO_END
        assert {info.licence for info in infos.values()} == {"Apache-2.0"}
        assert not any(info.synthetic for info in infos.values())
        frames = np.stack([film.frame(number, 320)[0] for number in (60, 250, 400)])
        for task in (Task.DETECT, Task.POSE):
            (together,) = await engine.infer(task, frames)
            for frame, one in zip(frames, together, strict=True):
                (alone,) = await engine.infer(task, frame[np.newaxis])
                np.testing.assert_allclose(alone[0], one, atol=1e-3)
    finally:
        await engine.close()


@pytest.mark.parametrize(("name", "side"), [("thunder", 256), ("lightning", 192)])
async def test_crops_of_several_persons_share_a_run(converted: Path, name: str, side: int) -> None:
    engine = await EmbeddedEngine.open({Task.POSE_CROP: converted / f"movenet_{name}_topdown.onnx"})
    try:
        assert engine.models[Task.POSE_CROP].crop_side == side
        picture = recorded_picture(320, 256)
        crops = np.stack([picture[:side, left : left + side] for left in (0, 30, 60)])
        (together,) = await engine.infer(Task.POSE_CROP, crops)
        for crop, one in zip(crops, together, strict=True):
            (alone,) = await engine.infer(Task.POSE_CROP, crop[np.newaxis])
            np.testing.assert_allclose(alone[0], one, atol=1e-3)
    finally:
        await engine.close()


def test_what_is_converted_takes_the_frame_as_triton_gives_it(converted: Path) -> None:
    for each in CONVERSIONS:
        task, path = SOURCES[each].task, converted / f"{each}.onnx"
        model = with_preprocessing(load_network(path), path, task)
        onnx.checker.check_model(model, full_check=True)
        assert model.graph.input[0].type.tensor_type.elem_type == TensorProto.UINT8
        assert model.graph.output[0].type.tensor_type.shape.dim[0].dim_param == "batch"
