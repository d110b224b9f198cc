from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path

import onnx
import pytest

from inference import catalogue
from inference.catalogue import CatalogueError, NetworkFacts, describe, find_models
from inference.coco import COCO_LABELS
from inference.engines.contract import HeadLayout, Placement, Task
from inference.heads.candidates import Shape
from inference.stages import Stage

ANY_SIZE = ("batch", 3, "height", "width")
needs_rapidocr = pytest.mark.skipif(
    importlib.util.find_spec("rapidocr") is None, reason="no rapidocr package"
)


def folder_with(directory: Path, *names: str) -> Path:
    for name in names:
        (directory / name).touch()
    return directory


@pytest.fixture(autouse=True)
def built_in(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of built-in models, empty."""
    folder = tmp_path_factory.mktemp("built_in")
    monkeypatch.setattr(catalogue, "BUILT_IN", folder)
    return folder


def facts(
    output: Shape,
    metadata: Mapping[str, str] | None = None,
    source: Shape = ANY_SIZE,
) -> NetworkFacts:
    return NetworkFacts(source, [output], metadata or {})


# --- which files --------------------------------------------------------------------------------------


def test_the_preferred_of_several_models_is_taken(tmp_path: Path) -> None:
    folder_with(tmp_path, "yolox_nano.onnx", "yolo_coco_n.onnx", "another.onnx", "yolo11n_pose.onnx")

    found = find_models(tmp_path)

    assert found[Task.DETECT] == tmp_path / "yolo_coco_n.onnx"
    assert found[Task.POSE] == tmp_path / "yolo11n_pose.onnx"


def test_the_only_model_is_taken_whatever_its_name(tmp_path: Path) -> None:
    found = find_models(folder_with(tmp_path, "forklifts.onnx"))
    assert found[Task.DETECT] == tmp_path / "forklifts.onnx"
    assert Task.POSE not in found


def test_the_only_pose_model_is_taken_and_never_for_a_detector(tmp_path: Path) -> None:
    found = find_models(folder_with(tmp_path, "forklifts.onnx", "drivers_pose.onnx"))
    assert found[Task.DETECT] == tmp_path / "forklifts.onnx"
    assert found[Task.POSE] == tmp_path / "drivers_pose.onnx"
    with pytest.raises(
        CatalogueError, match=r"holds a_pose\.onnx, drivers_pose\.onnx.*MEDIASERVER_POSE_MODEL"
    ):
        find_models(folder_with(tmp_path, "a_pose.onnx"))


def test_a_segmentation_model_is_taken_and_never_for_a_detector(tmp_path: Path) -> None:
    found = find_models(folder_with(tmp_path, "forklifts.onnx", "forklifts_seg.onnx", "yolo11n-seg.onnx"))
    assert found[Task.DETECT] == tmp_path / "forklifts.onnx"
    assert found[Task.SEGMENT] == tmp_path / "yolo11n-seg.onnx"
    named = {Stage.SEGMENT: "forklifts_seg"}
    assert find_models(tmp_path, named=named)[Task.SEGMENT] == tmp_path / "forklifts_seg.onnx"


@pytest.mark.parametrize("wanted", ["mine", "mine.onnx"])
def test_a_model_can_be_named(tmp_path: Path, wanted: str) -> None:
    folder_with(tmp_path, "yolo_coco_n.onnx", "mine.onnx")
    assert find_models(tmp_path, named={Stage.DETECT: wanted})[Task.DETECT] == tmp_path / "mine.onnx"


def test_a_model_can_lie_anywhere(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    folder_with(elsewhere, "a_pose.onnx")
    folder_with(tmp_path, "yolo_coco_n.onnx")
    path = elsewhere / "a_pose.onnx"
    assert find_models(tmp_path, named={Stage.POSE: str(path)})[Task.POSE] == path


@needs_rapidocr
def test_ocr_comes_with_its_package(tmp_path: Path) -> None:
    found = find_models(folder_with(tmp_path, "yolo_coco_n.onnx"))
    assert found[Task.OCR_DET].is_file()
    assert found[Task.OCR_REC].is_file()


def test_a_missing_folder_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match=r"nowhere does not exist\. Set MEDIASERVER_MODELS"):
        find_models(tmp_path / "nowhere")


def test_for_each_task_the_first_folder_that_has_a_model_is_taken(tmp_path: Path, built_in: Path) -> None:
    folder_with(built_in, "detect.onnx", "pose.onnx")
    mine, cache = tmp_path / "mine", tmp_path / "cache"
    assert found_in(None, cache) == (built_in / "detect.onnx", built_in / "pose.onnx")
    cache.mkdir()
    folder_with(cache, "yolox_nano.onnx", "yolox_tiny.onnx")
    # What knows a drawn world only is not put beside a detector for the real one.
    assert found_in(None, cache) == (cache / "yolox_tiny.onnx", None)
    mine.mkdir()
    folder_with(mine, "drivers_pose.onnx")
    assert found_in(mine, cache) == (cache / "yolox_tiny.onnx", mine / "drivers_pose.onnx")
    folder_with(mine, "forklifts.onnx")
    assert found_in(mine, cache) == (mine / "forklifts.onnx", mine / "drivers_pose.onnx")
    assert (
        find_models(mine, cache=cache, named={Stage.DETECT: "yolox_nano"})[Task.DETECT]
        == cache / "yolox_nano.onnx"
    )
    assert find_models(mine, cache=cache, named={Stage.POSE: "pose"})[Task.POSE] == built_in / "pose.onnx"


def found_in(directory: Path | None, cache: Path) -> tuple[Path, Path | None]:
    found = find_models(directory, cache=cache)
    return found[Task.DETECT], found.get(Task.POSE)


def test_no_model_anywhere_and_a_choice_that_is_not_clear_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match=rf"no detect model in {tmp_path}, .*`mediaserver models pull`"):
        find_models(tmp_path)
    with pytest.raises(CatalogueError, match=r"holds a\.onnx, b\.onnx\. Set MEDIASERVER_DETECT_MODEL"):
        find_models(folder_with(tmp_path, "a.onnx", "b.onnx"))


def test_a_named_model_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CatalogueError, match="no pose model 'skeletons'"):
        find_models(folder_with(tmp_path, "yolo_coco_n.onnx"), named={Stage.POSE: "skeletons"})


# --- how to feed and read them ------------------------------------------------------------------------

MODEL = Path("model.onnx")
TWO_NAMES = {"task": "detect", "names": "{0: 'cat', 1: 'dog'}"}


def test_yolox_wants_unscaled_bgr_at_the_top_left() -> None:
    info, spec = describe(Task.DETECT, MODEL, facts(("batch", "anchors", 85)))

    assert info.layout is HeadLayout.YOLOX
    assert info.labels == COCO_LABELS
    assert info.placement == spec.placement == Placement(320, 256, 1.0, 0.0, 0.0)
    assert spec.bgr
    assert spec.scale == (1.0, 1.0, 1.0)


def test_ultralytics_wants_centred_rgb_from_0_to_1() -> None:
    info, spec = describe(Task.DETECT, MODEL, facts((1, 6, 8400), TWO_NAMES, (1, 3, 640, 640)))

    assert info.layout is HeadLayout.ULTRALYTICS_DETECT
    assert info.name == "model"
    assert info.labels == ("cat", "dog")
    assert info.placement == spec.placement == Placement(640, 640, 2.0, 0.0, 80.0)
    assert not spec.bgr
    assert spec.scale == pytest.approx((1 / 255,) * 3)


def test_segmentation_models_have_prototypes_beside_their_head() -> None:
    metadata = {"task": "segment", "names": "{0: 'cat', 1: 'dog'}"}
    network = NetworkFacts(ANY_SIZE, [(1, 38, 1680), (1, 32, 64, 80)], metadata)
    info, spec = describe(Task.SEGMENT, MODEL, network)
    assert (info.layout, info.labels) == (HeadLayout.ULTRALYTICS_SEGMENT, ("cat", "dog"))
    assert spec is not None
    assert info.placement == spec.placement == Placement(320, 256, 1.0, 0.0, 8.0)


def test_pose_models_need_no_labels() -> None:
    info, _ = describe(Task.POSE, MODEL, facts(("batch", 56, "anchors"), {"task": "pose"}))
    assert info.layout is HeadLayout.ULTRALYTICS_POSE
    assert info.labels == ()


@pytest.mark.parametrize(
    ("source", "size"),
    [
        (ANY_SIZE, (320, 256)),
        (("batch", 3, "height", 640), (640, 256)),
        ((1, 3, 480, None), (320, 480)),
    ],
)
def test_a_side_of_any_length_takes_the_frames_as_a_multiple_of_32(
    source: tuple[int | str, ...], size: tuple[int, int]
) -> None:
    placement = describe(Task.DETECT, MODEL, facts((1, 6, "anchors"), TWO_NAMES, source))[0].placement
    assert placement is not None
    assert (placement.width, placement.height) == size


def test_labels_may_lie_beside_the_model(tmp_path: Path) -> None:
    (tmp_path / "model.labels.txt").write_text("cat\r\nhot dog\n\n")
    info, _ = describe(Task.DETECT, tmp_path / "model.onnx", facts((1, 1680, 7)))
    assert info.labels == ("cat", "hot dog")


def test_labels_in_the_metadata_may_be_a_list() -> None:
    metadata = {"task": "detect", "names": "['cat', 'dog']"}
    assert describe(Task.DETECT, MODEL, facts((1, 6, 8400), metadata))[0].labels == ("cat", "dog")


def test_unknown_labels_are_asked_for_by_file_name() -> None:
    with pytest.raises(CatalogueError, match=r"write them to model\.labels\.txt"):
        describe(Task.DETECT, MODEL, facts((1, 1680, 7)))


@pytest.mark.parametrize(
    "names", ["{0: 'cat'", "open('/etc/passwd')", "{1: 'cat'}", "7", "[" * 100_000, "{0: 'a'}.x"]
)
def test_names_that_are_not_plain_data_are_refused(names: str) -> None:
    with pytest.raises(CatalogueError, match="class names in its metadata cannot be read"):
        describe(Task.DETECT, MODEL, facts((1, 6, 8400), {"task": "detect", "names": names}))


@pytest.mark.parametrize(
    ("task", "network", "words"),
    [
        (Task.DETECT, facts((1, 7, 8400), TWO_NAMES), "2 class names for 3 classes"),
        (Task.DETECT, facts((1, 1000)), r"output \[1, 1000\] is no known head"),
        (Task.DETECT, facts((1, 116, 8400), {"task": "segment"}), "the task 'segment' cannot detect"),
        (Task.DETECT, facts((1, 56, 1680), {"task": "pose"}), "the task 'pose' cannot detect"),
        (Task.SEGMENT, facts((1, 38, 8400), {"task": "segment"}), "are no known segmentation head"),
        (Task.POSE, facts((1, 84, 8400), {"task": "detect"}), "the task 'detect' cannot pose"),
        (Task.DETECT, facts((4, 6, 8400), TWO_NAMES, (4, 3, 640, 640)), "batch is fixed to 4"),
        (Task.DETECT, NetworkFacts(ANY_SIZE, [], TWO_NAMES), "without outputs"),
        (Task.DETECT, facts((1, 6, 8400), TWO_NAMES, ("n", 3, "side")), "takes no pictures"),
        (Task.DETECT, facts((1, 6, 8400), TWO_NAMES, (1, 3, 0, 640)), "takes no pictures"),
        (Task.OCR_REC, facts(("n", "steps", 5)), "no dictionary in its metadata"),
        (Task.OCR_REC, facts(("n", "steps", 5), {"character": "a\nb\n"}), "4 characters for 5 classes"),
    ],
)
def test_what_cannot_work_is_refused_with_the_reason(task: Task, network: NetworkFacts, words: str) -> None:
    with pytest.raises(CatalogueError, match=words):
        describe(task, MODEL, network)


def test_the_recogniser_reads_its_dictionary_between_the_blank_and_a_space() -> None:
    info, spec = describe(Task.OCR_REC, MODEL, facts(("n", "steps", 4), {"character": "a\nb\n"}))
    assert info.labels == ("", "a", "b", " ")
    assert (spec.mean, spec.placement) == ((127.5, 127.5, 127.5), None)


# --- poses in crops, and whose a model is --------------------------------------------------------------


def test_a_model_of_crops_is_no_detector_and_no_pose_model(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, "any.onnx", "pose.onnx", "movenet_thunder_topdown.onnx")
    found = find_models(folder)
    assert found[Task.DETECT].stem == "any"
    assert found[Task.POSE].stem == "pose"
    assert found[Task.POSE_CROP].stem == "movenet_thunder_topdown"


def test_a_model_of_crops_does_not_come_before_a_pose_model_of_a_folder_before_its_own(
    tmp_path: Path,
) -> None:
    yours, cache = tmp_path / "yours", tmp_path / "cache"
    for path, *names in (
        (yours, "any.onnx"),
        (cache, "movenet_thunder_topdown.onnx", "movenet_multipose.onnx"),
    ):
        path.mkdir()
        folder_with(path, *names)
    assert find_models(yours, cache=cache)[Task.POSE_CROP].parent == cache
    folder_with(yours, "my_pose.onnx")
    assert Task.POSE_CROP not in find_models(yours, cache=cache)


def test_a_pose_model_that_is_named_is_the_only_one_and_may_be_one_of_crops(tmp_path: Path) -> None:
    folder = folder_with(
        tmp_path,
        *("any.onnx", "pose.onnx", "movenet_thunder_topdown.onnx", "movenet_lightning_topdown.onnx"),
    )
    ways = {Task.POSE, Task.POSE_CROP}
    found = find_models(folder, named={Stage.POSE: "movenet_lightning_topdown"})
    assert found.keys() & ways == {Task.POSE_CROP}
    assert found[Task.POSE_CROP].stem == "movenet_lightning_topdown"
    assert find_models(folder, named={Stage.POSE: "pose"}).keys() & ways == {Task.POSE}


@pytest.mark.parametrize("side", [192, 256])
def test_a_model_of_crops_takes_crops_and_gives_joints(side: int) -> None:
    network = facts(("batch", 17, 3), source=("batch", 3, side, side))
    info, spec = describe(Task.POSE_CROP, Path("any_topdown.onnx"), network)
    assert (info.layout, info.placement, info.crop_side) == (None, None, side)
    assert spec is not None
    assert spec.placement is None


@pytest.mark.parametrize(
    ("source", "head"),
    [
        (("batch", 3, 256, 192), ("batch", 17, 3)),
        (("batch", 3, None, None), ("batch", 17, 3)),
        (("batch", 3, 1024, 1024), ("batch", 17, 3)),
        (("batch", 3, 256, 256), ("batch", 17, 2)),
    ],
)
def test_other_models_are_none_of_crops(source: Shape, head: Shape) -> None:
    with pytest.raises(CatalogueError, match="a model for crops takes"):
        describe(Task.POSE_CROP, Path("any_topdown.onnx"), facts(head, source=source))


@pytest.mark.parametrize(
    ("metadata", "licence", "synthetic"),
    [
        ({}, "", False),
        ({"license": "AGPL-3.0 License (https://ultralytics.com/license)"}, "AGPL-3.0", False),
        ({"license": "Apache-2.0", "synthetic": "true"}, "Apache-2.0", True),
    ],
)
def test_a_model_says_its_licence_and_whether_it_knows_drawings_only(
    metadata: dict[str, str], licence: str, synthetic: bool
) -> None:
    info, _ = describe(Task.POSE, Path("pose.onnx"), facts((1, 56, 1680), metadata))
    assert (info.licence, info.synthetic) == (licence, synthetic)


def test_a_licence_may_lie_beside_the_model(tmp_path: Path) -> None:
    (tmp_path / "pose.licence.txt").write_text("Apache-2.0\nsomebody\n")
    info, _ = describe(Task.POSE, tmp_path / "pose.onnx", facts((1, 56, 1680)))
    assert info.licence == "Apache-2.0"


def test_the_built_in_models_know_drawings_only_and_say_so() -> None:
    folder = Path(catalogue.__file__).parent / "builtin"
    for task in (Task.DETECT, Task.POSE):
        metadata = {item.key: item.value for item in onnx.load(folder / f"{task}.onnx").metadata_props}
        assert (metadata["license"], metadata["synthetic"]) == ("Apache-2.0", "true")
