import assert from "node:assert/strict";
import { test } from "node:test";

import { ClockOffset } from "../engine/clock_offset.js";

test("the fastest answer counts", () => {
  const clock = new ClockOffset();
  assert.equal(clock.offset, null);
  clock.asked(1, 1000);
  clock.answered(1, 6010, 1020);
  clock.asked(2, 2000);
  clock.answered(2, 9010, 4020); // it waited for 2 s in a queue
  assert.equal(clock.offset, 5000);
});

test("a server that never answers leaves nothing to pile up", () => {
  const clock = new ClockOffset();
  for (let number = 0; number < 1000; number++) clock.asked(number, 1000 * number);
  clock.answered(0, 5000, 1_000_000);
  assert.equal(clock.offset, null);
  clock.answered(999, 1_004_050, 999_100);
  assert.equal(clock.offset, 5000);
});
