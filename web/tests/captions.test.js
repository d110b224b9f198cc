import assert from "node:assert/strict";
import { test } from "node:test";

import { captions, facesOf } from "../engine/captions.js";

const PLACEMENT = { left: 0, top: 0, width: 100, height: 100, mirrored: false };
const WORDS = { person: "Mensch", ago: "vor # s" };
const EMPTY = { detections: [], segments: [], poses: [], texts: [], motion: null };
const SHOWN = { mirror: false, sync: false, labels: true };

function thing(id, label, values = [0.1, 0.1, 0.2, 0.4]) {
  return { id, values, opacity: 1, isStale: false, data: { label, score: 0.876, velocity: null, outline: [] } };
}

/** Whose nose and left eye are seen. */
function pose(id) {
  const scores = [0.9, 0.9, ...Array(15).fill(0.1)];
  return { id, values: [0.1, 0.1, 0.2, 0.4, 0.2, 0.15, 0.22, 0.14, ...Array(30).fill(0.5)], opacity: 1, isStale: false, data: { score: 0.8, scores } };
}

test("labels are names; ids and scores are there where they are wanted", () => {
  const content = { ...EMPTY, detections: [thing(7, "dog")] };
  assert.deepEqual(captions(content, PLACEMENT, SHOWN, WORDS).map(({ text }) => text), ["dog"]);
  assert.deepEqual(captions(content, PLACEMENT, { ...SHOWN, numbers: true }, WORDS).map(({ text }) => text), ["dog 7 · 88%"]);
  assert.deepEqual(captions(content, PLACEMENT, { ...SHOWN, labels: false }, WORDS), []);
});

test("what has a box and an outline is named once, the oldest first", () => {
  const content = { ...EMPTY, detections: [thing(9, "dog"), thing(2, "cat")], segments: [thing(9, "dog"), thing(5, "cup")] };
  assert.deepEqual(captions(content, PLACEMENT, SHOWN, WORDS).map(({ text }) => text), ["cat", "cup", "dog"]);
});

test("who is known by a skeleton alone is called in the reader's language", () => {
  assert.deepEqual(captions({ ...EMPTY, poses: [pose(1)] }, PLACEMENT, SHOWN, WORDS).map(({ text }) => text), ["Mensch"]);
});

test("what was read stands there also without labels, with its age where it is not followed", () => {
  const quad = [[0.1, 0.1], [0.3, 0.1], [0.3, 0.2], [0.1, 0.2]];
  const texts = [{ text: "EXIT", quad, opacity: 1, isStale: false, age: 0 }, { text: "CAFE", quad, opacity: 1, isStale: false, age: 1234 }];
  const found = captions({ ...EMPTY, texts }, PLACEMENT, { ...SHOWN, labels: false }, WORDS);
  assert.deepEqual(found.map(({ text }) => text), ["EXIT", "CAFE · vor 1.2 s"]);
  assert.ok(found.every(({ isReading }) => isReading));
});

test("a face is where the head's keypoints are, or at the upper end of a person", () => {
  const [seen] = facesOf({ ...EMPTY, poses: [pose(1)] }, PLACEMENT);
  assert.ok(seen.left < 20 && seen.left + seen.width > 22 && seen.top < 14 && seen.top + seen.height > 15);
  const [guessed] = facesOf({ ...EMPTY, detections: [thing(1, "person"), thing(2, "dog")] }, PLACEMENT);
  assert.ok(guessed.left > 10 && guessed.left + guessed.width < 30 && guessed.top === 10 && guessed.height <= 10);
});
