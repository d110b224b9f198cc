from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from inference.catalogue import find_models
from inference.engines.contract import Task
from mediaserver.errors import ModelError
from mediaserver.models.triton_check import check
from mediaserver.models.triton_repository import Flavour, write_repository


@pytest.fixture(scope="module", params=list(Flavour), ids=str)
def written(
    request: pytest.FixtureRequest, tiny_models: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    directory = tmp_path_factory.mktemp("written")
    write_repository(directory, find_models(tiny_models), request.param)
    return directory


def test_nothing_is_wrong_with_what_is_written(written: Path) -> None:
    assert check(written) == []


@pytest.fixture(scope="module")
def sound(tiny_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("sound")
    write_repository(directory, {Task.DETECT: find_models(tiny_models)[Task.DETECT]}, Flavour.ONNX)
    return directory


@pytest.fixture
def repository(sound: Path, tmp_path: Path) -> Path:
    """One of the flavour onnx, to be spoilt."""
    return Path(shutil.copytree(sound, tmp_path / "repository"))


def words(repository: Path) -> str:
    return "\n".join(f"{fault.model}: {fault.words}" for fault in check(repository))


def change_graph(repository: Path, change: Callable[[ModelProto], None]) -> None:
    path = repository / "detect" / "1" / "model.onnx"
    model = onnx.load(path)
    change(model)
    onnx.save(model, path)


def begin_with(operator: str, **attributes: object) -> Callable[[ModelProto], None]:
    """Puts a node between the frames and the first one."""

    def change(model: ModelProto) -> None:
        first = next(node for node in model.graph.node if "frames" in node.input)
        first.input[0] = "before"
        model.graph.node.insert(0, helper.make_node(operator, ["frames"], ["before"], **attributes))

    return change


def end_with(*nodes: NodeProto) -> Callable[[ModelProto], None]:
    def change(model: ModelProto) -> None:
        model.graph.node.extend(nodes)
        model.graph.initializer.append(numpy_helper.from_array(np.array([4000]), "many"))

    return change


INNER = helper.make_graph(
    [helper.make_node("NonZero", ["head"], ["inner"])],
    "inner",
    [],
    [helper.make_tensor_value_info("inner", TensorProto.INT64, None)],
)
CONDITION = helper.make_node("Constant", [], ["yes"], value=numpy_helper.from_array(np.array(True)))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (
            begin_with("Transpose", perm=[0, 3, 1, 2]),
            "'frames' goes into Transpose: TensorRT takes uint8 only",
        ),
        (begin_with("Identity"), "'frames' goes into Identity"),
        (end_with(helper.make_node("Shape", ["frames"], ["s"])), "'frames' goes into Shape"),
        (end_with(helper.make_node("NonZero", ["head"], ["z"])), "has the operator NonZero"),
        (
            end_with(CONDITION, helper.make_node("If", ["yes"], ["z"], then_branch=INNER, else_branch=INNER)),
            "has the operator NonZero",
        ),
        (
            end_with(helper.make_node("TopK", ["head", "many"], ["v", "i"], "greedy", axis=1)),
            "the TopK 'greedy' takes 4000 values; TensorRT has 3840 at most",
        ),
        (
            end_with(
                helper.make_node("Shape", ["head"], ["k"], start=1, end=2),
                helper.make_node("TopK", ["head", "k"], ["v", "i"], "open", axis=1),
            ),
            "the TopK 'open' takes a number of values that is no constant",
        ),
    ],
)
def test_graphs_that_tensorrt_would_not_build_are_named(
    repository: Path, change: Callable[[ModelProto], None], fault: str
) -> None:
    change_graph(repository, change)
    assert fault in words(repository)
    assert words(repository).startswith("detect: ")


@pytest.mark.parametrize(
    ("pattern", "by", "fault"),
    [
        (
            r"dims: \[240, 320, 3\] }\noutput",
            "dims: [320, 240, 3] }\noutput",
            r"is \[320, 240, 3\] in config.pbtxt",
        ),
        (r"dims: \[300, 6\]", "dims: [84, 1680]", r"'head': is \[84, 1680\] in config.pbtxt, \[300, 6\]"),
        (
            r"TYPE_UINT8 dims: \[240, 320, 3\] }\n",
            "TYPE_FP32 dims: [240, 320, 3] }\n",
            "network's is TYPE_UINT8",
        ),
        (r'name: "head"', 'name: "heads"', "has the output 'heads', which the network lacks"),
        (r'input { name: "frames"', 'input { name: "picture"', "the network has the input 'frames'"),
        (r".*trt_profile_max_shapes.*\n", "", "'frames' has open sizes, and no profile"),
        ("frames:16x240", "frames:8x240", "covers 1 to 8 where 1 to 16 may come"),
        ("frames:1x240x320x3", "frames:2x240x320x3", "covers 2 to 16 where 1 to 16 may come"),
        ("frames:16x240x320", "frames:16x480x640", ""),
        ("frames:8x240", "frames:32x240", "is not in order: min, opt, max"),
        ("frames:8x240x320x3", "frames:8x240x320", "another number of sizes"),
        ("max_batch_size: 16", "max_batch_size: 32", "covers 1 to 16 where 1 to 32 may come"),
        (r"  batch_size: 16\n", "  batch_size: 4\n", "not warmed up with a batch of 16"),
        (r".*trt_engine_cache_enable.*\n", "", "each start takes minutes"),
        (r"/var/cache/triton/engines/detect\S+\"", 'engines"', "trt_engine_cache_path names no folder"),
        (r'name: "detect"', 'name: "finder"', "'finder', which is not the name of its folder"),
        ("max_batch_size", "most_batch_size", "Triton cannot read config.pbtxt"),
        (r"\bcandidates\b", "sideways", "cannot be read by the server"),
    ],
)
def test_configurations_that_do_not_fit_are_named(
    repository: Path, pattern: str, by: str, fault: str
) -> None:
    path = repository / "detect" / "config.pbtxt"
    before = path.read_text()
    after = re.sub(pattern, by, before, count=1)
    assert after != before
    path.write_text(after)
    assert re.search(fault, words(repository))
    assert bool(words(repository)) is bool(fault)


def test_a_plan_is_held_to_what_it_is_built_for(tiny_models: Path, tmp_path: Path) -> None:
    write_repository(tmp_path, {Task.DETECT: find_models(tiny_models)[Task.DETECT]}, Flavour.TENSORRT)
    arguments = tmp_path / "detect" / "trtexec.args"
    arguments.write_text(arguments.read_text().replace("maxShapes=frames:16", "maxShapes=frames:4"))
    assert "is not in order" in words(tmp_path)
    arguments.unlink()
    assert "no profile of min, opt and max shapes" in words(tmp_path)


def test_what_is_no_repository_and_what_is_no_network_is_said(repository: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is no model repository"):
        check(tmp_path / "nothing")
    model = repository / "detect" / "1" / "model.onnx"
    model.write_bytes(b"\0 no network")
    assert "not a readable ONNX file" in words(repository)
    model.unlink()
    assert "has no model.onnx" in words(repository)
