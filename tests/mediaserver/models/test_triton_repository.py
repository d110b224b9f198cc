from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from google.protobuf import text_format

from inference.catalogue import find_models
from inference.engines.contract import HeadLayout, Task
from inference.model_metadata import KEY, from_text
from mediaserver.models.triton_repository import Flavour, write_repository

model_config_pb2 = pytest.importorskip(
    "tritonclient.grpc.model_config_pb2", reason="needs tritonclient[grpc]"
)


@pytest.fixture(scope="module", params=list(Flavour), ids=str)
def repository(
    request: pytest.FixtureRequest, tiny_models: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Flavour, Path]:
    directory = tmp_path_factory.mktemp("repository")
    write_repository(directory, find_models(tiny_models), request.param)
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
    info = from_text(config.parameters[KEY].string_value)
    assert info.task is task
    if task is Task.DETECT:
        assert list(config.input[0].dims) == [240, 320, 3]
        assert list(config.output[0].dims) == [6, 320]
        assert (info.labels, info.layout) == (("red", "blue"), HeadLayout.ULTRALYTICS_DETECT)
    if task is Task.SEGMENT:
        assert [(output.name, list(output.dims)) for output in config.output] == [
            ("head", [39, 320]),
            ("prototypes", [32, 64, 80]),
        ]
    if task is Task.OCR_REC:
        assert len(info.labels) > 1000


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
