from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from inference.stages import Stage
from inference.types import Box
from mediaserver.client.comparison import FrameFindings, Moment, compare, read_results
from mediaserver.errors import UnreadableFile
from signaling.findings import FrameInfo, WireDetection
from signaling.messages import OcrEvent, Result

BOX = (0.1, 0.1, 0.2, 0.2)
NEAR = (0.11, 0.1, 0.2, 0.2)
FAR = (0.6, 0.6, 0.2, 0.2)


def found(*things: tuple[str, Box], texts: list[str] | None = None) -> FrameFindings:
    detections = [WireDetection(number, label, 0.9, box, None) for number, (label, box) in enumerate(things)]
    return FrameFindings({Stage.DETECT: detections}, texts, has_result=True)


def run(*frames: FrameFindings) -> dict[Moment, FrameFindings]:
    return {Moment("clip.mp4", 33 * number): frame for number, frame in enumerate(frames)}


def test_things_that_moved_a_little_are_the_same_whatever_their_order() -> None:
    comparison = compare(
        run(found(("cup", BOX), ("cup", FAR))), run(found(("cup", FAR), ("cup", NEAR))), min_iou=0.5
    )
    assert comparison.share == 1
    assert comparison.stages[Stage.DETECT].same == 2
    assert sorted(comparison.overlaps[Stage.DETECT]) == pytest.approx([0.905, 1.0], abs=0.01)
    assert not any(comparison.different.values())


@pytest.mark.parametrize(
    "other", [found(("cup", FAR)), found(("bus", BOX)), found(), found(("cup", BOX), ("cup", BOX))]
)
def test_what_has_no_partner_is_counted_in_its_frame(other: FrameFindings) -> None:
    same = found(("cup", BOX))
    comparison = compare(run(same, same), run(same, other), min_iou=0.5)
    assert comparison.share < 1
    [(moment, count)] = [item for item in comparison.different.items() if item[1]]
    assert (moment.time_ms, count > 0) == (33, True)


def test_a_frame_that_only_one_run_has_is_a_difference() -> None:
    comparison = compare(run(found(), found()), run(found()), min_iou=0.5)
    assert (comparison.frames.first, comparison.frames.second, comparison.frames.same) == (2, 1, 1)
    assert comparison.share == pytest.approx(2 / 3)


def test_texts_are_compared_by_their_words() -> None:
    comparison = compare(run(found(texts=["EXIT", "24"])), run(found(texts=["EXIT", "42"])), min_iou=0.5)
    assert (comparison.texts.first, comparison.texts.same) == (2, 1)
    assert comparison.share == 0.5


def test_lines_are_read_with_their_moments(tmp_path: Path) -> None:
    frame = FrameInfo(None, 500.0, None, 640, 480)
    messages = (
        Result(1, frame, [WireDetection(1, "cup", 0.9, BOX, None)], None, None, None, {}, {}),
        OcrEvent(frame, []),
    )
    lines = [
        msgspec.json.encode({**msgspec.to_builtins(message), "clip": "clip.mp4", "time_s": 0.5})
        for message in messages
    ]
    path = tmp_path / "results.jsonl"
    path.write_bytes(b"\n".join(lines) + b"\n\n")  # an empty line is nothing
    [(moment, findings)] = read_results(path).items()
    assert moment == Moment("clip.mp4", 500)
    assert [thing.id for thing in findings.things[Stage.DETECT]] == [1]
    assert findings.texts == []
    assert Stage.POSE not in findings.things


@pytest.mark.parametrize("time_s", [1e308, -1e308])
def test_a_moment_beyond_all_clips_is_no_traceback(tmp_path: Path, time_s: float) -> None:
    result = Result(1, FrameInfo(None, 500.0, None, 640, 480), [], None, None, None, {}, {})
    path = tmp_path / "results.jsonl"
    path.write_bytes(msgspec.json.encode({**msgspec.to_builtins(result), "clip": "a", "time_s": time_s}))
    with pytest.raises(UnreadableFile, match="line 1 is no result"):
        read_results(path)


def test_results_of_two_clips_of_one_name_are_not_held_for_one(tmp_path: Path) -> None:
    result = Result(1, FrameInfo(None, 500.0, None, 640, 480), [], None, None, None, {}, {})
    line = msgspec.json.encode({**msgspec.to_builtins(result), "clip": "clip.mp4", "time_s": 0.5})
    path = tmp_path / "results.jsonl"
    path.write_bytes(line + b"\n" + line + b"\n")
    with pytest.raises(UnreadableFile, match=r"line 2: a second result for clip\.mp4 at 0\.5 s"):
        read_results(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot read"),
        ("", "no result in it"),
        ("not json\n", "line 1 is no result"),
        ('{"type":"result"}\n', "line 1 is no result"),
        ('{"type":"pong","id":1,"server_time_ms":0}\n', "no result in it"),
    ],
)
def test_what_is_no_such_file_says_so(tmp_path: Path, content: str | None, words: str) -> None:
    path = tmp_path / "results.jsonl"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UnreadableFile, match=words):
        read_results(path)
