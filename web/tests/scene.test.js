import assert from "node:assert/strict";
import { test } from "node:test";

import { Scene } from "../engine/scene.js";

/** A result with one outlined thing. */
function outlined(box, polygon) {
  const segments = [{ id: 1, label: "cup", score: 0.9, box, polygon }];
  return { detections: null, poses: null, segments, texts: null, motion: null };
}

test("an outline goes where its box goes between results", () => {
  const scene = new Scene();
  scene.observe(outlined([0.2, 0.4, 0.2, 0.2], [[0.2, 0.4], [0.4, 0.4], [0.3, 0.6]]), 1000);
  scene.observe(outlined([0.4, 0.4, 0.2, 0.2], [[0.4, 0.4], [0.6, 0.4], [0.5, 0.6]]), 1200);
  const [{ values, data }] = scene.at(1100).segments;
  assert.ok(Math.abs(values[0] - 0.3) < 1e-9);
  assert.deepEqual(data.outline.map((point) => point.map((value) => Math.round(value * 1e6) / 1e6)), [[0, 0], [1, 0], [0.5, 1]]);
});

test("a box without width at the picture's edge harms nothing", () => {
  const scene = new Scene();
  scene.observe(outlined([1, 0.4, 0, 0.2], [[1, 0.4], [1, 0.6], [1, 0.5]]), 1000);
  const [{ data }] = scene.at(1000).segments;
  assert.ok(data.outline.flat().every(Number.isFinite));
});

test("a server that knows no outlines, and a result without, have none to draw", () => {
  const scene = new Scene();
  scene.observe({ detections: null, poses: null, texts: null, motion: null }, 1000);
  scene.observe({ detections: null, poses: null, segments: null, texts: null, motion: null }, 1100);
  assert.deepEqual(scene.at(1100).segments, []);
});
