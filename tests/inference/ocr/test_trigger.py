from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from inference.ocr.trigger import MOTION_LEVEL, PAUSE, MotionGauge, OcrReason, OcrTrigger, OcrTriggerConfig
from tests.support.frames import canvas_of, frames

MOVING, STILL = 2 * MOTION_LEVEL, 0.0
LABELS = OcrTriggerConfig(labels=frozenset({"sign", "book"}), on_settle=False, min_interval_s=2.0)
SETTLE = OcrTriggerConfig(min_interval_s=1.0)


def run(trigger: OcrTrigger, now: float) -> None:
    trigger.started(now)
    trigger.finished(0.0)


def test_nothing_happens_without_a_reason() -> None:
    trigger = OcrTrigger(LABELS)
    assert [trigger.observe(step / 10, ["person"], MOVING) for step in range(50)] == [None] * 50


# --- explicit ---------------------------------------------------------------------------------------


def test_a_request_is_due_at_the_next_frame_until_ocr_starts() -> None:
    trigger = OcrTrigger(LABELS)
    trigger.request()
    assert trigger.observe(0.0, [], STILL) is OcrReason.TRIGGER
    assert trigger.observe(0.1, [], STILL) is OcrReason.TRIGGER
    run(trigger, 0.1)
    assert trigger.observe(5.0, [], STILL) is None


def test_a_request_does_not_wait_for_the_minimum_interval_and_a_label_does() -> None:
    trigger = OcrTrigger(LABELS)
    run(trigger, 10.0)
    assert trigger.observe(10.1, ["sign"], STILL) is None
    trigger.request()
    assert trigger.observe(10.2, [], STILL) is OcrReason.TRIGGER


def test_a_request_while_ocr_runs_waits_for_its_end() -> None:
    trigger = OcrTrigger(LABELS)
    trigger.started(0.0)
    trigger.request()
    assert trigger.observe(9.0, [], STILL) is None
    trigger.finished(0.5)
    assert trigger.observe(9.1, [], STILL) is OcrReason.TRIGGER


def test_a_long_run_is_followed_by_a_long_pause_also_for_a_request() -> None:
    trigger = OcrTrigger(LABELS)
    trigger.started(0.0)
    trigger.finished(3.0)
    trigger.request()
    assert trigger.observe(PAUSE * 3.0 - 0.1, [], STILL) is None
    assert trigger.observe(PAUSE * 3.0, [], STILL) is OcrReason.TRIGGER


def test_a_short_run_is_followed_by_the_minimum_interval() -> None:
    trigger = OcrTrigger(LABELS)
    trigger.started(6.0)
    trigger.finished(0.1)
    assert trigger.observe(7.9, ["sign"], STILL) is None
    assert trigger.observe(8.0, [], STILL) is OcrReason.LABEL


# --- label ------------------------------------------------------------------------------------------


def test_a_configured_label_is_due_when_it_appears_not_while_it_stays() -> None:
    trigger = OcrTrigger(LABELS)
    assert trigger.observe(0.0, ["person"], STILL) is None
    assert trigger.observe(0.1, ["person", "sign"], STILL) is OcrReason.LABEL
    run(trigger, 0.1)
    assert [trigger.observe(0.2 + step / 10, ["sign"], STILL) for step in range(50)] == [None] * 50


@pytest.mark.parametrize(("absent_s", "expected"), [(0.9, None), (1.0, OcrReason.LABEL)])
def test_a_label_appears_again_only_after_a_second_of_absence(
    absent_s: float, expected: OcrReason | None
) -> None:
    trigger = OcrTrigger(OcrTriggerConfig(labels=frozenset({"sign"}), min_interval_s=0.2))
    trigger.observe(0.0, ["sign"], STILL)
    run(trigger, 0.0)
    assert trigger.observe(absent_s, ["sign"], MOVING) is expected


def test_each_label_has_an_absence_of_its_own() -> None:
    trigger = OcrTrigger(LABELS)
    trigger.observe(0.0, ["sign"], STILL)
    run(trigger, 0.0)
    assert trigger.observe(3.0, ["book"], STILL) is OcrReason.LABEL


# --- motion -----------------------------------------------------------------------------------------


def test_settles_half_a_second_after_the_last_motion() -> None:
    trigger = OcrTrigger(SETTLE)
    assert trigger.observe(0.0, [], MOVING) is None
    assert trigger.observe(0.1, [], STILL) is None
    assert trigger.observe(0.4, [], MOVING) is None, "the pause is broken"
    assert trigger.observe(0.5, [], STILL) is None
    assert trigger.observe(0.9, [], STILL) is None
    assert trigger.observe(1.0, [], STILL) is OcrReason.SETTLED
    run(trigger, 1.0)
    assert [trigger.observe(2.0 + step / 10, [], STILL) for step in range(50)] == [None] * 50


def test_a_scene_that_never_moves_is_read_once() -> None:
    trigger = OcrTrigger(SETTLE)
    reasons = []
    for step in range(50):
        reasons.append(trigger.observe(step / 10, [], STILL))
        if reasons[-1] is not None:
            run(trigger, step / 10)
    assert [reason for reason in reasons if reason is not None] == [OcrReason.SETTLED]


def test_what_settled_inside_the_minimum_interval_is_read_later_unless_it_moves_again() -> None:
    for motion, expected in ((STILL, OcrReason.SETTLED), (MOVING, None)):
        trigger = OcrTrigger(OcrTriggerConfig(min_interval_s=5.0))
        run(trigger, 0.0)
        trigger.observe(0.1, [], STILL)
        assert trigger.observe(0.7, [], STILL) is None
        assert trigger.observe(5.0, [], motion) is expected


def test_settling_can_be_switched_off_and_on_at_any_time() -> None:
    trigger = OcrTrigger(SETTLE)
    trigger.observe(0.0, [], STILL)
    assert trigger.observe(0.6, [], STILL) is OcrReason.SETTLED
    trigger.configure(LABELS)
    assert trigger.observe(0.7, [], STILL) is None
    trigger.configure(SETTLE)
    trigger.observe(0.8, [], MOVING)
    trigger.observe(0.9, [], STILL)
    assert trigger.observe(1.5, [], STILL) is OcrReason.SETTLED


def test_a_label_that_is_no_longer_configured_is_no_reason() -> None:
    trigger = OcrTrigger(LABELS)
    assert trigger.observe(0.0, ["sign"], STILL) is OcrReason.LABEL
    trigger.configure(OcrTriggerConfig(on_settle=False))
    assert trigger.observe(0.1, ["sign"], STILL) is None


def test_an_explicit_request_comes_before_other_reasons() -> None:
    trigger = OcrTrigger(OcrTriggerConfig(labels=frozenset({"sign"})))
    trigger.observe(0.0, [], STILL)
    trigger.request()
    assert trigger.observe(0.6, ["sign"], STILL) is OcrReason.TRIGGER


# --- the gauge --------------------------------------------------------------------------------------


def test_the_gauge_sees_a_sign_appear_and_not_noise() -> None:
    rng = np.random.default_rng(3)
    scene = np.full((240, 320, 3), 90, np.uint8)
    noisy = (scene + rng.integers(0, 20, scene.shape)).astype(np.uint8)
    sign = noisy.copy()
    sign[40:90, 40:200] = 230

    gauge = MotionGauge()
    assert gauge.update(scene) == 0.0
    assert gauge.update(noisy) < MOTION_LEVEL
    assert gauge.update(sign) == pytest.approx(50 * 160 / (240 * 320), rel=0.2)
    assert gauge.update(sign) == 0.0


@pytest.mark.parametrize("every", [1, 3, 5], ids=["30 fps", "10 fps", "6 fps"])
def test_settles_once_after_each_sign_of_the_clip_appears(media_dir: Path, every: int) -> None:
    signs = json.loads((media_dir / "text.json").read_text())["signs"]
    gauge, trigger = MotionGauge(), OcrTrigger(SETTLE)
    settled = []
    for time_s, picture in frames(media_dir / "text.mp4", every):
        if trigger.observe(time_s, [], gauge.update(canvas_of(picture))) is OcrReason.SETTLED:
            settled.append(time_s)
            run(trigger, time_s)

    for sign in signs:
        in_time = [time_s for time_s in settled if 0.5 <= time_s - sign["start_s"] <= 1.4]
        assert in_time, f"{sign['text']} appeared at {sign['start_s']} s; settled at {settled}"
    # Signs that vanish are changes too; more would say that the drift of the background is one.
    assert len(settled) <= 2 * len(signs)
