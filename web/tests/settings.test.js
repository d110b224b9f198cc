import assert from "node:assert/strict";
import { test } from "node:test";

import { addressOf, readSettings } from "../ui/settings.js";

const USUAL = readSettings("", "");

test("the address counts more than what is kept", () => {
  const kept = JSON.stringify({ ...USUAL, source: "screen", models: ["pose"], confidence: 60, labels: false });
  const settings = readSettings("?source=sample&models=ocr,detect&watch=door", kept);
  assert.equal(settings.source, "sample");
  assert.deepEqual(settings.models, ["detect", "ocr"]);
  assert.equal(settings.confidence, 60);
  assert.equal(settings.labels, false);
});

test("none of the models is a choice, too", () => {
  assert.deepEqual(readSettings("?models=", "").models, []);
});

test("what makes no sense changes nothing", () => {
  for (const stored of ["", "{", "null", "7", '"a"', "[]", '{"models":7,"confidence":"x","source":"__proto__","sync":1}']) {
    assert.deepEqual(readSettings("?source=moon&confidence=1000&transport=pigeon", stored), USUAL, stored);
  }
});

test("an address that is written is read as it was meant, and keeps what is not ours", () => {
  const settings = { ...USUAL, source: "sample", models: ["detect", "ocr"], confidence: 50, jpegOnly: true };
  const address = addressOf("?watch=door&source=file", settings);
  assert.equal(address, "?watch=door&source=sample&models=detect,ocr&confidence=50&transport=jpeg");
  assert.deepEqual(readSettings(address, ""), settings);
  assert.equal(addressOf(address, USUAL), "?watch=door");
  assert.equal(addressOf("", USUAL), "");
  assert.equal(addressOf("", { ...USUAL, source: "3f2a77c1" }), "", "a camera's id is for nobody else");
});
