import assert from "node:assert/strict";
import { test } from "node:test";

globalThis.document = { getElementById: () => null };
const { fitted } = await import("../engine/clip.js");

test("a large clip is made smaller and keeps its shape; a small one stays as it is", () => {
  assert.deepEqual(fitted(3840, 2160), { width: 640, height: 360 });
  assert.deepEqual(fitted(2160, 3840), { width: 360, height: 640 });
  assert.deepEqual(fitted(1440, 1440), { width: 480, height: 480 });
  assert.deepEqual(fitted(320, 240), { width: 320, height: 240 });
  assert.deepEqual(fitted(10_000, 3), { width: 640, height: 1 });
});
