import assert from "node:assert/strict";
import { test } from "node:test";

import { colourOfKind, colourOfPerson, hueOf } from "../shared/colours.js";

test("a kind has one colour, and those that are often seen together differ much", () => {
  assert.equal(colourOfKind("person"), colourOfKind("person"));
  const street = ["person", "car", "bicycle", "dog", "bus", "truck", "traffic light", "bird"].map(hueOf).sort((a, b) => a - b);
  street.forEach((hue, i) => assert.ok(i === 0 || hue - street[i - 1] >= 20));
  for (const label of ["thing", "traffic light", "constructor", "", "ä"]) {
    assert.ok(hueOf(label) >= 0 && hueOf(label) < 360, label);
  }
});

test("a person has one hue, whose sides differ in light", () => {
  const [left, right] = [colourOfPerson(3, "left"), colourOfPerson(3, "right")];
  assert.equal(left.split(" ")[0], right.split(" ")[0]);
  assert.notEqual(left, right);
  assert.notEqual(colourOfPerson(4, "left").split(" ")[0], left.split(" ")[0]);
});
