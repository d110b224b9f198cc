from __future__ import annotations

import json

from inference.types import Detection, FrameIdentity, Motion, PipelineResult, Pose, Text
from mediaserver.session.results import package
from signaling.messages import Result, encode

IDENTITY = FrameIdentity(2712345678, 4033.333, 1795441737965.625, 640, 480)
PERSON = (0.1235, 0.2, 0.3, 0.5)


def found(people: int = 1) -> PipelineResult:
    return PipelineResult(
        detections=tuple(Detection(each, "person", 0.912, PERSON, (0.02, 0.0)) for each in range(people)),
        poses=tuple(Pose(each, 0.88, PERSON, ((0.2222, 0.3333, 0.99),) * 17) for each in range(people)),
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
    assert sent["texts"][0]["quad"] == [[0.1, 0.1], [0.3, 0.1], [0.3, 0.2], [0.1, 0.2]]
    assert sent["motion"] == {"dx": 0.01, "dy": 0.0, "magnitude": 0.01}


def test_times_are_rounded() -> None:
    sent = json.loads(encode(result()))
    assert sent["frame"]["pts_ms"] == 4033.3
    assert sent["timing_ms"] == {"wait": 1.23}


def test_absent_stages_stay_absent() -> None:
    nothing = PipelineResult(None, None, None, None, {}, {})
    sent = package(1, IDENTITY, nothing, {}, {})
    assert (sent.detections, sent.poses, sent.texts, sent.motion) == (None, None, None, None)


def test_a_person_with_a_skeleton_fits_into_one_datagram() -> None:
    assert len(encode(result(people=1))) < 1100
