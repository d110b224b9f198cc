import assert from "node:assert/strict";
import { test } from "node:test";

import { Silence } from "../engine/silence.js";

/** Asks once a second, as it is wished. */
function watchedUntil(silence, from, until) {
  let last = 0;
  for (let now = from + 1000; now <= until; now += 1000) last = silence.watch(now);
  return last;
}

test("a server that says nothing is silent for as long", () => {
  const silence = new Silence(1000, 0);
  assert.equal(watchedUntil(silence, 0, 4000), 4000);
  silence.heard(4100);
  assert.equal(silence.since(4500), 400);
  assert.equal(silence.watch(5000), 900);
});

test("a page that stood still heard nothing for that reason", () => {
  const silence = new Silence(1000, 0);
  silence.heard(900);
  silence.watch(1000);
  assert.ok(silence.watch(8000) <= 1100);
  assert.equal(watchedUntil(silence, 8000, 12_000), 5100, "and where nothing had come meanwhile, the server is silent");
});

test("who stands still again and again notices a server that is away nevertheless", () => {
  const silence = new Silence(1000, 0);
  const heard = [3000, 6000, 9000, 12_000].map((now) => silence.watch(now));
  assert.deepEqual(heard, [1000, 2000, 3000, 4000]);
});

test("a machine that slept for long has lost its socket", () => {
  const silence = new Silence(1000, 0);
  assert.ok(silence.watch(3_600_000) > 60_000);
});
