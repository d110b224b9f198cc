import assert from "node:assert/strict";
import { test } from "node:test";

import { LastingKinds } from "../ui/lasting_kinds.js";

test("a kind that is there for a moment is not among those that last", () => {
  const kinds = new LastingKinds();
  assert.deepEqual(kinds.among(["person", "tennis racket"]), []);
  assert.deepEqual(kinds.among(["person"]), []);
  assert.deepEqual(kinds.among(["person", "tennis racket"]), ["person"]);
  assert.deepEqual(kinds.among(["tennis racket"]), []);
});

test("a kind that was away begins anew", () => {
  const kinds = new LastingKinds();
  for (let i = 0; i < 5; i++) kinds.among(["dog"]);
  kinds.among([]);
  assert.deepEqual(kinds.among(["dog"]), []);
});
