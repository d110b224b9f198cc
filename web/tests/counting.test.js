import assert from "node:assert/strict";
import { test } from "node:test";

import { Counting } from "../engine/counting.js";
import { addressWith, readRegion } from "../ui/counting.js";

const DOWN = { shape: "line", points: [0.5, 0, 0.5, 1] }; // who looks along it, downwards, has the left of the picture to the right
const ZONE = { shape: "zone", points: [0.75, 0.9, 0.25, 0.3] }; // corners in any order

/** Stands at x, y: there is the middle of the lower side. */
function at(id, x, y) {
  return { id, box: [x - 0.05, y - 0.2, 0.1, 0.2] };
}

/** @param {Counting} counting @param {number[][]} steps x, y of one, ten a second. */
function walk(counting, steps, id = 1, from = 0) {
  steps.forEach(([x, y], i) => counting.observe(from + 100 * i, [at(id, x, y)]));
}

test("who crosses a line comes in, and goes out the other way", () => {
  const counting = new Counting(DOWN);
  walk(counting, [[0.7, 0.5], [0.6, 0.5], [0.4, 0.5], [0.3, 0.5]]);
  assert.deepEqual(counting.crossings, { in: 1, out: 0, inside: null });
  walk(counting, [[0.4, 0.5], [0.6, 0.5]], 1, 1000);
  assert.deepEqual(counting.crossings, { in: 1, out: 1, inside: null });
});

test("a fast step over the line counts, one past its end does not", () => {
  const short = new Counting({ shape: "line", points: [0.5, 0.4, 0.5, 0.6] });
  walk(short, [[0.9, 0.5], [0.1, 0.5]]);
  walk(short, [[0.9, 0.9], [0.1, 0.9]], 2, 1000);
  assert.equal(short.in, 1);
});

test("who dithers on the line crosses it once", () => {
  const counting = new Counting(DOWN);
  walk(counting, [[0.6, 0.5], [0.505, 0.5], [0.495, 0.5], [0.504, 0.5], [0.496, 0.5], [0.4, 0.5]]);
  assert.deepEqual(counting.crossings, { in: 1, out: 0, inside: null });
});

test("who appears in a zone is inside, and did not come in", () => {
  const counting = new Counting(ZONE);
  counting.observe(0, [at(1, 0.5, 0.5), at(2, 0.1, 0.5)]);
  assert.deepEqual(counting.crossings, { in: 0, out: 0, inside: 1 });
  counting.observe(100, [at(1, 0.5, 0.5), at(2, 0.4, 0.5)]);
  assert.deepEqual(counting.crossings, { in: 1, out: 0, inside: 2 });
  counting.observe(200, [at(1, 0.9, 0.5), at(2, 0.4, 0.5)]);
  assert.deepEqual(counting.crossings, { in: 1, out: 1, inside: 1 });
});

test("one that is missed for a moment is still inside, one that is gone is not, and went nowhere", () => {
  const counting = new Counting(ZONE);
  counting.observe(0, [at(1, 0.5, 0.5)]);
  counting.observe(300, []);
  assert.equal(counting.inside, 1);
  counting.observe(900, []);
  assert.deepEqual(counting.crossings, { in: 0, out: 0, inside: 0 });
});

test("results come unordered: an older one moves nobody", () => {
  const counting = new Counting(DOWN);
  counting.observe(100, [at(1, 0.4, 0.5)]);
  counting.observe(50, [at(1, 0.6, 0.5)]);
  counting.observe(200, [at(1, 0.3, 0.5)]);
  assert.deepEqual(counting.crossings, { in: 0, out: 0, inside: null });
});

test("a region is in the address, beside what else is there", () => {
  const address = addressWith("?source=sample&line=0,0,1,1", { shape: "zone", points: [0.25, 1 / 3, 0.5, 1] });
  assert.equal(address, "?source=sample&zone=0.25,0.333,0.5,1");
  assert.deepEqual(readRegion(address), { shape: "zone", points: [0.25, 0.333, 0.5, 1] });
  assert.equal(addressWith(address, null), "?source=sample");
  assert.equal(addressWith("?zone=1,1,1,1", null), "");
});

test("an address that makes no sense has none", () => {
  for (const search of ["", "?line=", "?line=1,2,3", "?line=a,b,c,d", "?zone=0,0,2,1", "?zone=0,0,1,1,1", "?line=NaN,0,0,0"]) {
    assert.equal(readRegion(search), null, search);
  }
});
