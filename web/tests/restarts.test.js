import assert from "node:assert/strict";
import { test } from "node:test";

import { Restarts } from "../ui/restarts.js";

test("an engine that is lost again and again is started three times, with longer pauses, and then no more", () => {
  const restarts = new Restarts();
  assert.deepEqual([0, 5000, 10_000, 15_000].map((now) => restarts.pause(now)), [0, 1000, 3000, null]);
});

test("what is long ago does not count, nor what came before a user's own start", () => {
  const restarts = new Restarts();
  for (const now of [0, 1000, 2000]) restarts.pause(now);
  assert.equal(restarts.pause(70_000), 0);
  for (const now of [70_000, 71_000]) restarts.pause(now);
  restarts.forget();
  assert.equal(restarts.pause(72_000), 0);
});
