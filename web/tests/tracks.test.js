import assert from "node:assert/strict";
import { test } from "node:test";

import { Tracks } from "../engine/tracks.js";

/** Tracks that have observed `sightings`: the time of each in ms, and where it saw the thing of each id. */
function observed(...sightings) {
  const tracks = new Tracks();
  for (const [time, things] of sightings) {
    const items = Object.entries(things).map(([id, x]) => ({ id, values: [x], data: null }));
    tracks.observe(time, items);
  }
  return tracks;
}

/** The only thing on show at `time`. */
function only(tracks, time) {
  const placed = tracks.at(time);
  assert.equal(placed.length, 1);
  const [{ id, values, opacity }] = placed;
  return { id, x: values[0], opacity };
}

function assertNear(actual, expected, tolerance = 1e-9) {
  assert.ok(Math.abs(actual - expected) <= tolerance, `${actual} is not within ${tolerance} of ${expected}`);
}

test("between two sightings a thing is in between", () => {
  const tracks = observed([1000, { a: 0.2 }], [1200, { a: 0.4 }]);
  const { id, x, opacity } = only(tracks, 1100);
  assert.equal(id, "a");
  assertNear(x, 0.3);
  assert.equal(opacity, 1);
});

test("ahead of its last sighting a thing goes on as it went", () => {
  const tracks = observed([1000, { a: 0.1 }], [1200, { a: 0.2 }], [1400, { a: 0.3 }]);
  const { x, opacity } = only(tracks, 1600);
  assertNear(x, 0.4, 0.01);
  assert.equal(opacity, 1);
});

test("a thing is drawn ahead from its second sighting on", () => {
  assertNear(only(observed([1000, { a: 0.1 }], [1200, { a: 0.2 }]), 1400).x, 0.3, 0.01);
});

test("a thing that stood still for an hour has a place", () => {
  const still = Array.from({ length: 3600 }, (_, i) => [1000 * i, { a: 0.5 }]);
  assertNear(only(observed(...still), 3_599_100).x, 0.5);
});

test("what only fidgets is not drawn ahead", () => {
  const places = [0.5, 0.5, 0.52, 0.52, 0.5, 0.5, 0.52, 0.52, 0.5, 0.5, 0.52, 0.52];
  const fidgeting = places.map((x, i) => [1000 + 100 * i, { a: x }]);
  assertNear(only(observed(...fidgeting), 2400).x, 0.52, 0.005);
});

test("500 ms ahead of its last sighting a thing stands still, and fades within 250 ms", () => {
  const tracks = observed([1000, { a: 0.1 }], [1200, { a: 0.2 }], [1400, { a: 0.3 }]);
  const atHorizon = only(tracks, 1900);
  const fading = only(tracks, 2025);
  assertNear(fading.x, atHorizon.x, 0.001);
  assertNear(fading.opacity, 0.5);
  assert.deepEqual(tracks.at(2200), []);
});

test("a thing that a result misses fades from then on", () => {
  const tracks = observed([1000, { a: 0.1 }], [1100, {}]);
  assert.equal(only(tracks, 1100).opacity, 1);
  assertNear(only(tracks, 1225).opacity, 0.5);
  assert.deepEqual(tracks.at(1400), []);
});

test("before its first sighting a thing is not drawn", () => {
  assert.deepEqual(observed([1000, { a: 0.1 }]).at(999), []);
});

test("a result that comes late changes nothing", () => {
  const tracks = observed([1000, { a: 0.1 }], [1200, { a: 0.1 }], [1100, { a: 0.9, b: 0.5 }]);
  const { id, x, opacity } = only(tracks, 1200);
  assert.equal(id, "a");
  assertNear(x, 0.1);
  assert.equal(opacity, 1);
});

test("a correction is taken up without a jump", () => {
  const sightings = [[1000, { a: 0.1 }], [1200, { a: 0.2 }]];
  const before = only(observed(...sightings), 1400);
  const after = only(observed(...sightings, [1400, { a: 0.5 }]), 1400);
  assertNear(after.x, before.x, 0.001);
});
