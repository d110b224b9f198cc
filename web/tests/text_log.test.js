import assert from "node:assert/strict";
import { test } from "node:test";

import { fresh } from "../ui/text_log.js";

test("a text that is still there is not new, whatever it is read as", () => {
  const texts = [{ id: 1, text: "H0TEL", score: 0.9 }, { id: 2, text: "EXIT", score: 0.9 }];
  assert.deepEqual(fresh(texts, new Set([1])).map(({ text }) => text), ["EXIT"]);
  assert.deepEqual(fresh(texts, new Set([1, 2])), []);
});

test("texts without an id are always new", () => {
  assert.equal(fresh([{ text: "EXIT", score: 0.9 }], new Set([1])).length, 1);
});
