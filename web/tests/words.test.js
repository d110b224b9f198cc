import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { FailureCode } from "../shared/failure.js";
import { LANGUAGES, busyWords, modelWords, stateWords, wordsFor } from "../ui/words.js";

test("in each language, words are there for each failure, and for nothing else", () => {
  for (const { failures } of LANGUAGES) {
    assert.deepEqual(Object.keys(failures).sort(), Object.values(FailureCode).sort());
    for (const [code, { title, advice }] of Object.entries(failures)) assert.ok(title && advice, code);
  }
});

/** What stands at each place of a tree of words, by its path. */
function leaves(words, path = "") {
  if (typeof words === "object" && words !== null) {
    return Object.entries(words).flatMap(([name, each]) => leaves(each, `${path}.${name}`));
  }
  return [[path, words]];
}

test("each language says all that the others say, and says it in its own words", () => {
  const [first, ...others] = LANGUAGES.map((words) => new Map(leaves(words)));
  for (const other of others) {
    assert.deepEqual([...other.keys()].sort(), [...first.keys()].sort());
    const same = [...first].filter(([path, words]) => typeof words === "string" && other.get(path) === words);
    const alike = same.map(([path]) => path).filter((path) => !/^\.transports\..*label$/.test(path)); // names, as WebRTC
    assert.deepEqual(alike.sort(), [".page.start", ".start", ".states.live"]);
  }
});

test("the words of the page are those that it asks for, and no others", () => {
  const html = readFileSync(new URL("../index.html", import.meta.url), "utf8");
  const asked = [...html.matchAll(/data-words(?:-label|-title)?="(\w+)"/g)].map(([, name]) => name);
  const elsewhere = ["title", "hideKind"];
  assert.deepEqual([...new Set([...asked, ...elsewhere])].sort(), Object.keys(LANGUAGES[0].page).sort());
});

test("whoever reads none of the languages gets the first; a region does not matter", () => {
  assert.equal(wordsFor(["fr", "de-AT", "en"]).language, "de");
  assert.equal(wordsFor(["DE"]).language, "de");
  assert.equal(wordsFor(["fr"]).language, "en");
  assert.equal(wordsFor([]).language, "en");
});

test("what was never there is not taken up again: it is waited for", () => {
  assert.equal(stateWords("reconnecting", FailureCode.SERVER_BUSY, false), "Waiting for a place");
  assert.equal(stateWords("reconnecting", FailureCode.SERVER_SILENT, false), "Connecting");
  assert.equal(stateWords("reconnecting", FailureCode.SERVER_BUSY, true), "Reconnecting");
});

test("a model is named with what is known of it", () => {
  const model = { name: "nanodet_g", labels: [], kinds: 80, licence: "Apache-2.0", synthetic: false };
  assert.equal(modelWords(model), "nanodet_g · 80 kinds · Apache-2.0");
  assert.equal(modelWords({ ...model, name: "pose", kinds: 1, licence: null }), "pose · 1 kind");
  assert.equal(modelWords({ ...model, synthetic: true }), "nanodet_g · 80 kinds · Apache-2.0 · drawn scenes only");
  assert.equal(modelWords({ name: "of an older server", labels: [] }), "of an older server");
});

test("what gives way is said in words, in its order", () => {
  assert.equal(busyWords([]), "");
  assert.equal(busyWords(["flow", "pose"]), "Server busy: motion paused, skeletons at half rate");
  assert.equal(busyWords(["detect", "something newer"]), "Server busy: fewer results a second");
});
