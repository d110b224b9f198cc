import assert from "node:assert/strict";
import { test } from "node:test";

import { LabelLayout, overlap } from "../engine/labels.js";

const CANVAS = { width: 640, height: 480 };
const LETTER = 7;

function measure(text) {
  return text.length * LETTER;
}

function wish(key, left, top, width, height, more = {}) {
  return { key, text: "person", colour: "#fff", opacity: 1, anchor: { left, top, width, height }, isReading: false, ...more };
}

/** A street full of people, the same in each run. */
function crowd(count) {
  let state = 7;
  const random = () => (state = (state * 16807) % 2147483647) / 2147483647;
  return Array.from({ length: count }, (_, i) => wish(`person ${i}`, random() * 600, random() * 400, 20 + random() * 60, 40 + random() * 120));
}

test("in a crowd no label covers another, or a face, or leaves the canvas", () => {
  const people = crowd(40);
  const faces = people.map(({ anchor: { left, top, width, height } }) => ({ left, top, width, height: height / 5 }));
  const labels = new LabelLayout().place(people, faces, CANVAS, 1, measure);
  assert.ok(labels.length >= 10, `${labels.length} of 40 are named`);
  for (const [i, label] of labels.entries()) {
    for (const other of [...labels.slice(i + 1), ...faces]) assert.ok(!overlap(label, other));
    assert.ok(label.left >= 0 && label.top >= 0);
    assert.ok(label.left + label.width <= CANVAS.width && label.top + label.height <= CANVAS.height);
  }
});

test("a label that is alone stands above its box, and where there is no room below or inside", () => {
  const layout = new LabelLayout();
  const [above] = layout.place([wish("a", 100, 100, 80, 80)], [], CANVAS, 1, measure);
  assert.ok(above.top + above.height <= 100);
  const [below] = layout.place([wish("b", 100, 0, 80, 80)], [], CANVAS, 1, measure);
  assert.ok(below.top >= 80);
  const [inside] = layout.place([wish("c", 0, 0, 640, 480)], [], CANVAS, 1, measure);
  assert.ok(inside.top > 0 && inside.top + inside.height < 480);
});

test("a label stays on its side while it can", () => {
  const layout = new LabelLayout();
  const box = wish("a", 100, 100, 80, 80);
  const blocked = [{ left: 90, top: 70, width: 200, height: 30 }];
  const [below] = layout.place([box], blocked, CANVAS, 1, measure);
  assert.ok(below.top > 180);
  const [still] = layout.place([box], [], CANVAS, 1, measure);
  assert.equal(still.top, below.top);
  layout.place([], [], CANVAS, 1, measure); // it was away
  const [again] = layout.place([box], [], CANVAS, 1, measure);
  assert.ok(again.top < 100);
});

test("on a small box a label is shortened, but what was read is whole", () => {
  const layout = new LabelLayout();
  const small = wish("a", 100, 100, 20, 20, { text: "traffic light" });
  const [label] = layout.place([small], [], CANVAS, 1, measure);
  assert.match(label.text, /^tra\p{L}*…$/u);
  const [reading] = layout.place([{ ...small, isReading: true }], [], CANVAS, 1, measure);
  assert.equal(reading.text, "traffic light");
});
