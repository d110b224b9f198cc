"""ByteTrack and OC-SORT of the package ``trackers``, run in an environment that has it.

Reads one JSON object from standard input, ``{"tracker", "rate", "frames"}``, where a frame is a list of
``[x, y, width, height, score]``; writes a list of ids for each frame, null for what has none. A track may be
lost for a second, as ours may, and has its id from its first frame on.
"""

import json
import sys

import numpy as np
from supervision import Detections
from trackers import ByteTrackTracker, OCSORTTracker

TRACKERS = {
    "ByteTrack": lambda rate: ByteTrackTracker(
        frame_rate=rate, minimum_consecutive_frames=1, track_activation_threshold=0.35
    ),
    "OC-SORT": lambda rate: OCSORTTracker(frame_rate=rate, minimum_consecutive_frames=1),
}


def ids(tracker, frame: list[list[float]]) -> list[int | None]:
    boxes = np.array(frame, np.float32).reshape(-1, 5)
    corners = np.concatenate((boxes[:, :2], boxes[:, :2] + boxes[:, 2:4]), axis=1)
    seen = Detections(
        xyxy=640 * corners,
        confidence=boxes[:, 4],
        class_id=np.zeros(len(boxes), int),
        data={"row": np.arange(len(boxes))},
    )
    tracked = tracker.update(seen)
    found: list[int | None] = [None] * len(boxes)
    for row, number in zip(tracked.data.get("row", ()), tracked.tracker_id, strict=False):
        if number >= 0:
            found[row] = int(number)
    return found


if __name__ == "__main__":
    job = json.load(sys.stdin)
    tracker = TRACKERS[job["tracker"]](job["rate"])
    json.dump([ids(tracker, frame) for frame in job["frames"]], sys.stdout)
