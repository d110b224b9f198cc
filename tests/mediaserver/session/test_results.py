from __future__ import annotations

import json
from dataclasses import replace

from inference.heads.segments import MAX_POINTS, MAX_SEGMENTS
from inference.types import Detection, FrameIdentity, Motion, PipelineResult, Pose, Segment, Text
from mediaserver.session.results import package
from signaling.codec import encode
from signaling.messages import Result

IDENTITY = FrameIdentity(2712345678, 4033.333, 1795441737965.625, 640, 480)
PERSON = (0.1235, 0.2, 0.3, 0.5)


OUTLINE = ((0.1235, 0.2), (0.4235, 0.2), (0.2735, 0.7))


def found(people: int = 1) -> PipelineResult:
    return PipelineResult(
        detections=tuple(Detection(each, "person", 0.912, PERSON, (0.02, 0.0)) for each in range(people)),
        poses=tuple(Pose(each, 0.88, PERSON, ((0.2222, 0.3333, 0.99),) * 17) for each in range(people)),
        segments=(Segment(0, "person", 0.871, PERSON, OUTLINE),),
        texts=(Text("EXIT", 0.97, ((0.1, 0.1), (0.3, 0.1), (0.3, 0.2), (0.1, 0.2))),),
        motion=Motion(0.01, 0.0, 0.01),
        timing_ms={},
        failures={},
    )


def result(people: int = 1) -> Result:
    return package(12, IDENTITY, found(people), {"wait": 1.234}, {"sink": 41})


def test_what_was_found_goes_over_as_it_is() -> None:
    sent = json.loads(encode(result()))
    box = list(PERSON)
    assert sent["detections"] == [
        {"id": 0, "label": "person", "score": 0.912, "box": box, "velocity": [0.02, 0.0]}
    ]
    assert sent["poses"] == [{"id": 0, "score": 0.88, "box": box, "keypoints": [[0.2222, 0.3333, 0.99]] * 17}]
    assert sent["segments"] == [
        {
            "id": 0,
            "label": "person",
            "score": 0.871,
            "box": box,
            "polygon": [list(point) for point in OUTLINE],
        }
    ]
    assert sent["texts"][0]["quad"] == [[0.1, 0.1], [0.3, 0.1], [0.3, 0.2], [0.1, 0.2]]
    assert sent["motion"] == {"dx": 0.01, "dy": 0.0, "magnitude": 0.01}


def test_times_are_rounded() -> None:
    sent = json.loads(encode(result()))
    assert sent["frame"]["pts_ms"] == 4033.3
    assert sent["timing_ms"] == {"wait": 1.23}


def test_absent_stages_stay_absent() -> None:
    nothing = PipelineResult(None, None, None, None, None, {}, {})
    sent = package(1, IDENTITY, nothing, {}, {})
    found = (sent.detections, sent.poses, sent.segments, sent.texts, sent.motion)
    assert found == (None, None, None, None, None)


def test_a_person_with_a_skeleton_fits_into_one_datagram() -> None:
    without_outlines = replace(found(people=1), segments=None)
    assert len(encode(package(12, IDENTITY, without_outlines, {"wait": 1.234}, {"sink": 41}))) < 1100


def test_the_most_and_most_ragged_outlines_stay_below_24_kilobytes() -> None:
    outline = ((0.1234, 0.5678),) * MAX_POINTS
    segments = tuple(
        Segment(100_000 + each, "traffic light", 0.871, PERSON, outline) for each in range(MAX_SEGMENTS)
    )
    ragged = PipelineResult(None, None, segments, None, None, {}, {})
    assert len(encode(package(1, IDENTITY, ragged, {}, {}))) < 24_000
