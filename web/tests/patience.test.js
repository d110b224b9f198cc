import assert from "node:assert/strict";
import { test } from "node:test";

import { Patience } from "../engine/patience.js";
import { Scene } from "../engine/scene.js";

const NOTHING = { poses: null, segments: null, texts: null, motion: null };
const THING = { id: 1, label: "cup", score: 0.9, box: [0.1, 0.1, 0.2, 0.2], velocity: null };

/** What is on show each 50 ms while a result comes each `intervalMs`, `ageMs` after its frame was captured. */
function shown(intervalMs, ageMs) {
  const scene = new Scene();
  const seen = [];
  for (let now = 0; now < 12_000; now += 50) {
    if (now % intervalMs === 0) scene.observe({ ...NOTHING, detections: [THING] }, now - ageMs, ageMs);
    seen.push(scene.at(now).detections);
  }
  return seen.slice(60);
}

test("slow results are held, and marked as stale, until the next is there", () => {
  for (const detections of shown(1000, 1100)) {
    assert.equal(detections.length, 1);
    assert.equal(detections[0].opacity, 1);
    assert.equal(detections[0].isStale, true);
  }
});

test("quick results are never stale", () => {
  assert.ok(shown(100, 100).every(([thing]) => thing.opacity === 1 && !thing.isStale));
});

test("what quick results no longer tell of is gone soon, whether it was missed or they ended", () => {
  const scene = new Scene();
  for (let now = 0; now <= 2000; now += 100) scene.observe({ ...NOTHING, detections: [THING] }, now, 80);
  assert.deepEqual(scene.at(3000).detections, []);
  scene.observe({ ...NOTHING, detections: [] }, 2100, 80);
  assert.deepEqual(scene.at(2400).detections, []);
});

test("patience has an end", () => {
  const patience = new Patience();
  for (let time = 0; time < 100_000; time += 20_000) patience.observe(time, 30_000);
  assert.equal(patience.ms, 5000);
});
