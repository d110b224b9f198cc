import assert from "node:assert/strict";
import { test } from "node:test";

import { FORMS, JpegPacing } from "../engine/jpeg_pacing.js";

test("no more than two frames are without a result", () => {
  const pacing = new JpegPacing();
  for (const number of [1, 2]) {
    assert.ok(pacing.hasRoom(0));
    pacing.sent(number, 1000 * number, 0);
  }
  assert.ok(!pacing.hasRoom(5000));
  pacing.answered(1000);
  assert.ok(pacing.hasRoom(5000));
});

test("a frame that was received and has no result is given up", () => {
  const pacing = new JpegPacing();
  pacing.sent(1, 1000, 0);
  pacing.sent(2, 2000, 0);
  pacing.received(1, 100);
  assert.ok(!pacing.hasRoom(1000));
  assert.ok(pacing.hasRoom(1200));
});

test("pictures get smaller on a narrow link and larger again on a wide one", () => {
  const pacing = new JpegPacing();
  let now = 1000;
  const play = (/** @type {number} */ took, /** @type {number} */ count) => {
    for (let number = 0; number < count; number++) {
      pacing.sent(number, now, now);
      now += took;
      pacing.received(number, now);
      pacing.answered(now);
    }
  };
  play(30, 5);
  assert.equal(pacing.form, FORMS[0]);
  play(800, FORMS.length);
  assert.equal(pacing.form, FORMS.at(-1));
  assert.ok(pacing.isNarrow);
  play(50, 21 * FORMS.length);
  assert.equal(pacing.form, FORMS[0]);
  assert.ok(!pacing.isNarrow);
});

test("a page that is held up does not call the link narrow", () => {
  const pacing = new JpegPacing();
  for (let number = 1; number <= 20; number++) {
    pacing.sent(number, 1000 * number, 1000 * number);
    if (number > 5) pacing.heldUp();
    pacing.received(number, 1000 * number + (number > 5 ? 700 : 30));
    pacing.answered(1000 * number);
    assert.ok(!pacing.isNarrow);
  }
  assert.equal(pacing.form, FORMS[0]);
});

test("what is sent after the page was held up is judged again", () => {
  const pacing = new JpegPacing();
  pacing.sent(1, 1000, 0);
  pacing.received(1, 30);
  pacing.answered(1000);
  pacing.heldUp();
  pacing.sent(2, 2000, 100);
  pacing.received(2, 800);
  assert.ok(pacing.isNarrow);
});
