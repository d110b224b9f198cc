import assert from "node:assert/strict";
import { test } from "node:test";

import { boxToCanvas, place } from "../engine/placement.js";

const SQUARE = { width: 480, height: 480 };
const CANVAS = { width: 200, height: 100 };
const LEFT_QUARTER = [0, 0, 0.25, 1];

test("contain fits the whole picture into the canvas", () => {
  const placement = place("contain", SQUARE, CANVAS, false);
  assert.deepEqual(boxToCanvas(placement, LEFT_QUARTER), [50, 0, 25, 100]);
});

test("mirrored, the left quarter of the picture is on the right", () => {
  const placement = place("contain", SQUARE, CANVAS, true);
  assert.deepEqual(boxToCanvas(placement, LEFT_QUARTER), [125, 0, 25, 100]);
});

test("cover fills the canvas, and the picture reaches beyond it", () => {
  const placement = place("cover", SQUARE, CANVAS, false);
  assert.deepEqual(boxToCanvas(placement, LEFT_QUARTER), [0, -50, 50, 200]);
});
