import assert from "node:assert/strict";
import { test } from "node:test";

import { countByLabel, without } from "../engine/findings.js";

const thing = (id, label, opacity = 1) => ({ id, opacity, data: { label } });
const STREET = {
  detections: [thing(1, "person"), thing(2, "person"), thing(3, "car"), thing(4, "dog", 0.2)],
  poses: [{ id: 9, opacity: 1, data: {} }],
  segments: [thing(3, "car"), thing(7, "cup")],
};

test("each thing counts once, whatever found it, and what fades counts no more", () => {
  assert.deepEqual(countByLabel(STREET), { person: 2, car: 1, cup: 1 });
});

test("people whose skeletons alone are known are people", () => {
  const poses = [{ id: 1, opacity: 1, data: {} }, { id: 2, opacity: 1, data: {} }];
  assert.deepEqual(countByLabel({ detections: [thing(3, "car")], poses, segments: [] }), { car: 1, person: 2 });
});

test("a kind that is not wanted is left out with its outlines and skeletons", () => {
  const { detections, poses, segments } = without(STREET, ["person", "cup"]);
  assert.deepEqual(detections.map(({ id }) => id), [3, 4]);
  assert.deepEqual(poses, []);
  assert.deepEqual(segments.map(({ id }) => id), [3]);
  assert.equal(without(STREET, []), STREET);
});

test("a label may be any word", () => {
  assert.deepEqual(Object.keys(countByLabel({ detections: [thing(1, "__proto__")], poses: [], segments: [] })), ["__proto__"]);
});
