import assert from "node:assert/strict";
import { test } from "node:test";

import { FailureCode } from "../shared/failure.js";
import { FAILURE_WORDS } from "../ui/words.js";

test("words are there for each failure, and for nothing else", () => {
  assert.deepEqual(Object.keys(FAILURE_WORDS).sort(), Object.values(FailureCode).sort());
});

test("each failure has a title and advice", () => {
  for (const [code, { title, advice }] of Object.entries(FAILURE_WORDS)) {
    assert.ok(title, code);
    assert.ok(advice, code);
  }
});
