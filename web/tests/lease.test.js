import assert from "node:assert/strict";
import { test } from "node:test";

import { minutesUntil } from "../ui/lease_bar.js";
import { LANGUAGES, clockWords } from "../ui/words.js";

test("a time of day is the next one that comes", () => {
  const now = new Date(2026, 2, 2, 16, 30, 20);
  assert.equal(minutesUntil("17:00", now), 30);
  assert.equal(minutesUntil("16:29", now), 24 * 60 - 1);
  assert.equal(minutesUntil("16:30", now), 24 * 60);
});

test("a clock shows hours when there are any", () => {
  assert.equal(clockWords(14 * 60_000 + 59_000), "14:59");
  assert.equal(clockWords((3 * 60 + 7) * 60_000), "3:07:00");
});

test("costs are told in dollars and cents", () => {
  const told = LANGUAGES.map(({ machine }) => machine.cost(0.35, 12.1));
  assert.deepEqual(told, ["about $0.35 now, $12.10 this month", "etwa 0,35 $ jetzt, 12,10 $ in diesem Monat"]);
});
