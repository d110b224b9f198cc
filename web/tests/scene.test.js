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
  scene.observe(outlined([0.2, 0.4, 0.2, 0.2], [[0.2, 0.4], [0.4, 0.4], [0.3, 0.6]]), 1000, 50);
  scene.observe(outlined([0.4, 0.4, 0.2, 0.2], [[0.4, 0.4], [0.6, 0.4], [0.5, 0.6]]), 1200, 50);
  const [{ values, data }] = scene.at(1100).segments;
  assert.ok(Math.abs(values[0] - 0.3) < 1e-9);
  assert.deepEqual(data.outline.map((point) => point.map((value) => Math.round(value * 1e6) / 1e6)), [[0, 0], [1, 0], [0.5, 1]]);
});

test("a box without width at the picture's edge harms nothing", () => {
  const scene = new Scene();
  scene.observe(outlined([1, 0.4, 0, 0.2], [[1, 0.4], [1, 0.6], [1, 0.5]]), 1000, 50);
  const [{ data }] = scene.at(1000).segments;
  assert.ok(data.outline.flat().every(Number.isFinite));
});

test("a server that knows no outlines, and a result without, have none to draw", () => {
  const scene = new Scene();
  scene.observe({ detections: null, poses: null, texts: null, motion: null }, 1000, 50);
  scene.observe({ detections: null, poses: null, segments: null, texts: null, motion: null }, 1100, 50);
  assert.deepEqual(scene.at(1100).segments, []);
});

const TEXTS = [{ text: "EXIT", score: 0.9, quad: [[0, 0], [1, 0], [1, 1], [0, 1]] }];

test("a text is of the picture that was read, and of no later one", () => {
  const scene = new Scene();
  scene.observeTexts(TEXTS, 1000, 2000);
  assert.equal(scene.at(1000).texts[0].age, 0);
  assert.equal(scene.at(1033).texts[0].age, 0);
  assert.equal(scene.at(2100).texts[0].age, 1100);
});

test("however long reading took, a text is seen for a while", () => {
  const scene = new Scene();
  scene.observeTexts(TEXTS, 1000, 9000);
  assert.equal(scene.at(9500).texts[0].opacity, 1);
  assert.deepEqual(scene.at(12_000).texts, []);
});

/** A result with one text whose left side is at `x`, or none. */
function following(x) {
  const quad = [[x, 0.4], [x + 0.2, 0.4], [x + 0.2, 0.5], [x, 0.5]];
  const followed_texts = x === null ? [] : [{ id: 7, text: "EXIT", score: 0.9, quad }];
  return { detections: null, poses: null, segments: null, texts: null, motion: null, followed_texts };
}

test("a text that the server follows goes where it goes, and leaves with it", () => {
  const scene = new Scene();
  scene.observeTexts(TEXTS, 1000, 1000);
  scene.observe(following(0.2), 1000, 50);
  scene.observe(following(0.3), 1200, 50);
  const [{ text, quad, age }] = scene.at(1100).texts;
  assert.deepEqual([text, age], ["EXIT", 0]);
  assert.ok(Math.abs(quad[0][0] - 0.25) < 1e-9);
  scene.observe(following(null), 1400, 50);
  assert.deepEqual(scene.at(2000).texts, []);
});

test("a box stays in the results in which nothing looked for it", () => {
  const scene = new Scene();
  const seen = { detections: null, segments: null, texts: null, motion: null };
  const person = { id: 1, score: 0.9, box: [0.1, 0.1, 0.2, 0.4], keypoints: [] };
  scene.observe({ ...seen, poses: [person] }, 1000, 50);
  scene.observe({ ...seen, poses: null }, 1100, 50);
  assert.equal(scene.at(1150).poses[0].opacity, 1);
  scene.observe({ ...seen, poses: [] }, 1200, 50);
  assert.ok((scene.at(1300).poses[0]?.opacity ?? 0) < 1);
  assert.deepEqual(scene.at(4000).poses, [], "nor does it stay where it is not looked for any more");
});
