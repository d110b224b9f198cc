"""Where modules of ``web/`` and the server must agree: a module runs in node, Python reads what it says."""

from __future__ import annotations

import json

import cv2
import numpy as np

from signaling.jpeg import parse_jpeg
from signaling.messages import PROTOCOL_VERSION, EndReason
from tests.web.node import run_node


def says(script: str, stdin: bytes = b"") -> bytes:
    """What an ES module in ``web/`` writes."""
    ran = run_node("--input-type=module", "--eval", script, stdin=stdin)
    assert ran.returncode == 0, ran.stderr.decode()
    return ran.stdout


def test_wire_constants_are_those_of_the_server() -> None:
    wire = json.loads(says('import * as wire from "./shared/wire.js"; console.log(JSON.stringify(wire));'))
    assert wire["PROTOCOL_VERSION"] == PROTOCOL_VERSION
    assert wire["EndReason"] == {reason.name: reason.value for reason in EndReason}


def test_the_server_reads_the_capture_time_of_a_jpeg() -> None:
    encoded, jpeg = cv2.imencode(".jpg", np.zeros((24, 32, 3), np.uint8))
    assert encoded
    stamped = says(
        """
        import { readFileSync } from "node:fs";
        import { withCaptureTime } from "./engine/jpeg.js";
        process.stdout.write(withCaptureTime(readFileSync(0), 1795441737965.625));
        """,
        stdin=jpeg.tobytes(),
    )
    frame = parse_jpeg(stamped)
    assert frame.capture_time_ms == 1795441737965.625
    assert (frame.width, frame.height) == (32, 24)
