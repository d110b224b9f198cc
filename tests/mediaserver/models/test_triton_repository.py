from __future__ import annotations

import shutil
from pathlib import Path, PurePosixPath

import onnx
import pytest
from google.protobuf import text_format
from onnx import numpy_helper

from inference.catalogue import find_models
from inference.engines.contract import HeadLayout, Task
from inference.model_metadata import KEY, from_text
from mediaserver.models.triton_check import check
from mediaserver.models.triton_repository import Flavour, write_repository
from tests.support.tiny_models import tiny_crop_pose

model_config_pb2 = pytest.importorskip(
    "tritonclient.grpc.model_config_pb2", reason="needs tritonclient[grpc]"
)


@pytest.fixture(scope="module", params=list(Flavour), ids=str)
def repository(
    request: pytest.FixtureRequest, tiny_models: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Flavour, Path]:
    directory = tmp_path_factory.mktemp("repository")
    write_repository(directory, find_models(tiny_models), request.param)
    crops = directory / "crops_topdown.onnx"
    onnx.save(tiny_crop_pose(), crops)
    write_repository(directory, {Task.POSE_CROP: crops}, request.param)
    return request.param, directory


@pytest.mark.parametrize("task", list(Task))
def test_each_configuration_is_one_for_triton(repository: tuple[Flavour, Path], task: Task) -> None:
    """Parsed by Triton's own protobuf, which refuses what it does not know."""
    flavour, directory = repository
    config = text_format.Parse(
        (directory / task / "config.pbtxt").read_text(), model_config_pb2.ModelConfig()
    )
    assert config.name == task
    assert config.backend == {"cpu": "python", "onnx": "onnxruntime", "tensorrt": "tensorrt"}[flavour]
    assert config.input[0].data_type == model_config_pb2.TYPE_UINT8
    assert config.input[0].dims[-1] == 3
    assert config.output[0].data_type == model_config_pb2.TYPE_FP32
    kind = config.instance_group[0].kind
    assert (kind == model_config_pb2.ModelInstanceGroup.KIND_CPU) is (flavour is Flavour.CPU)
    queue = config.dynamic_batching.default_queue_policy
    assert queue.timeout_action == model_config_pb2.ModelQueuePolicy.REJECT
    assert queue.allow_timeout_override
    assert queue.max_queue_size > 0
    assert all(size <= config.max_batch_size for size in config.dynamic_batching.preferred_batch_size)
    warm = [warm_up.batch_size for warm_up in config.model_warmup]
    assert warm == ([1] if flavour is Flavour.CPU else [1, config.max_batch_size])
    info = from_text(config.parameters[KEY].string_value)
    assert info.task is task
    if task is Task.DETECT:
        assert list(config.input[0].dims) == [240, 320, 3]
        assert list(config.output[0].dims) == [300, 6]
        assert (info.labels, info.layout) == (("red", "blue"), HeadLayout.CANDIDATES)
    if task is Task.SEGMENT:
        assert [(output.name, list(output.dims)) for output in config.output] == [
            ("head", [300, 38]),
            ("prototypes", [32, 64, 80]),
        ]
    if task is Task.OCR_REC:
        assert len(info.labels) > 1000


def test_no_new_width_of_text_costs_an_exhaustive_search(repository: tuple[Flavour, Path]) -> None:
    """ONNX Runtime backend's README: 0 is EXHAUSTIVE and the default, 1 HEURISTIC."""
    flavour, directory = repository
    for task in (Task.OCR_DET, Task.OCR_REC):
        text = (directory / task / "config.pbtxt").read_text()
        config = text_format.Parse(text, model_config_pb2.ModelConfig())
        search = config.parameters["cudnn_conv_algo_search"].string_value
        assert search == ("1" if flavour is Flavour.ONNX else "")


@pytest.mark.parametrize("task", list(Task))
def test_each_model_lies_where_its_backend_looks(repository: tuple[Flavour, Path], task: Task) -> None:
    flavour, directory = repository
    folder = directory / task
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert (
        files
        == {
            Flavour.CPU: {"config.pbtxt", "1/model.onnx", "1/model.py"},
            Flavour.ONNX: {"config.pbtxt", "1/model.onnx"},
            Flavour.TENSORRT: {"config.pbtxt", "model.onnx", "trtexec.args"},
        }[flavour]
    )
    onnx.checker.check_model(onnx.load(next(folder.rglob("model.onnx"))))


def test_a_plan_is_built_for_the_batches_that_triton_makes(tiny_models: Path, tmp_path: Path) -> None:
    write_repository(tmp_path, {Task.DETECT: find_models(tiny_models)[Task.DETECT]}, Flavour.TENSORRT)
    assert (tmp_path / "detect" / "trtexec.args").read_text() == (
        "--minShapes=frames:1x240x320x3 --optShapes=frames:8x240x320x3 --maxShapes=frames:16x240x320x3"
    )


@pytest.mark.parametrize(
    ("flavour", "kept"),
    [(Flavour.CPU, "pose"), (Flavour.ONNX, "pose_crop"), (Flavour.TENSORRT, "pose_crop")],
)
def test_of_two_ways_to_find_poses_a_processor_gets_the_cheaper_one(
    tiny_models: Path, tmp_path: Path, flavour: Flavour, kept: str
) -> None:
    crops = tmp_path / "crops_topdown.onnx"
    onnx.save(tiny_crop_pose(), crops)
    files = {task: find_models(tiny_models)[task] for task in (Task.DETECT, Task.POSE)}
    write_repository(tmp_path / "repository", files | {Task.POSE_CROP: crops}, flavour)
    assert {path.name for path in (tmp_path / "repository").iterdir()} == {"detect", kept}


@pytest.mark.parametrize("side", [192, 256])
def test_crops_are_as_large_as_their_model_wants_them(tmp_path: Path, side: int) -> None:
    crops = tmp_path / "crops_topdown.onnx"
    onnx.save(tiny_crop_pose(side), crops)
    write_repository(tmp_path, {Task.POSE_CROP: crops}, Flavour.ONNX)
    text = (tmp_path / "pose_crop" / "config.pbtxt").read_text()
    config = text_format.Parse(text, model_config_pb2.ModelConfig())
    assert list(config.input[0].dims) == [side, side, 3]
    assert from_text(config.parameters[KEY].string_value).crop_side == side
    [accelerator] = config.optimization.execution_accelerators.gpu_execution_accelerator
    assert accelerator.parameters["trt_profile_max_shapes"] == f"frames:16x{side}x{side}x3"
    assert check(tmp_path) == []


@pytest.mark.parametrize("task", [Task.DETECT, Task.POSE, Task.SEGMENT])
def test_no_engine_is_built_in_service_or_twice(tiny_models: Path, tmp_path: Path, task: Task) -> None:
    path = tmp_path / "network.onnx"
    shutil.copy(find_models(tiny_models)[task], path)

    def parameters() -> dict[str, str]:
        write_repository(tmp_path, {task: path}, Flavour.ONNX, PurePosixPath("/engines"))
        text = (tmp_path / task / "config.pbtxt").read_text()
        config = text_format.Parse(text, model_config_pb2.ModelConfig())
        [accelerator] = config.optimization.execution_accelerators.gpu_execution_accelerator
        assert accelerator.name == "tensorrt"
        return dict(accelerator.parameters)

    before = parameters()
    assert before.pop("trt_engine_cache_path").startswith(f"/engines/{task}-")
    assert before == {
        "precision_mode": "FP16",
        "max_workspace_size_bytes": "1073741824",
        "trt_engine_cache_enable": "1",
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": "/engines",
        "trt_profile_min_shapes": "frames:1x240x320x3",
        "trt_profile_opt_shapes": "frames:8x240x320x3",
        "trt_profile_max_shapes": "frames:16x240x320x3",
    }
    # Another network of the same shape: ONNX Runtime would take the engine of the first one for its own.
    here = parameters()["trt_engine_cache_path"]
    assert here == parameters()["trt_engine_cache_path"]
    model = onnx.load(path)
    model.graph.initializer[0].CopyFrom(
        numpy_helper.from_array(
            numpy_helper.to_array(model.graph.initializer[0]) + 1, model.graph.initializer[0].name
        )
    )
    onnx.save(model, path)
    assert here != parameters()["trt_engine_cache_path"]
