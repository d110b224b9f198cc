import assert from "node:assert/strict";
import { test } from "node:test";

import { Recording } from "../ui/recording.js";

function result(more) {
  const nothing = { type: "result", seq: 7, captured: "2026-01-02T03:04:05.678Z", detections: null, poses: null };
  return JSON.stringify({ ...nothing, ...more });
}

test("lines are the messages as they came", () => {
  const recording = new Recording();
  const lines = [result({}), JSON.stringify({ type: "event", event: "ocr" })];
  recording.add(lines);
  assert.deepEqual(recording.jsonLines().trimEnd().split("\n"), lines);
});

test("the table has a line for each thing, whatever found it", () => {
  const recording = new Recording();
  const box = [0.1, 0.2, 0.3, 0.123456];
  const quad = [[0.1, 0.1], [0.4, 0.2], [0.4, 0.3], [0.1, 0.2]];
  recording.add([
    result({ detections: [{ id: 3, label: "dog", score: 0.9, box }], poses: [{ id: 4, score: 0.5, box, keypoints: [] }] }),
    result({ segments: [{ id: 5, label: "cup", score: 1, box, polygon: [] }], followed_texts: [{ text: "EXIT", score: 1, quad }] }),
    JSON.stringify({ type: "event", event: "ocr" }),
  ]);
  const time = "2026-01-02T03:04:05.678Z";
  assert.deepEqual(recording.table().trimEnd().split("\r\n"), [
    "captured,seq,stage,id,label,score,x,y,width,height",
    `${time},7,detect,3,dog,0.9,0.1,0.2,0.3,0.1235`,
    `${time},7,pose,4,person,0.5,0.1,0.2,0.3,0.1235`,
    `${time},7,segment,5,cup,1,0.1,0.2,0.3,0.1235`,
    `${time},7,ocr,,EXIT,1,0.1,0.1,0.3,0.2`,
  ]);
});

test("what stands on a sign is no formula, and breaks no line", () => {
  const recording = new Recording();
  const quad = [[0, 0], [1, 0], [1, 1], [0, 1]];
  const texts = ['=HYPERLINK("x")', "a,b", "-1", "two\nlines"];
  recording.add([result({ followed_texts: texts.map((text) => ({ text, score: 1, quad })) })]);
  const table = recording.table();
  for (const written of [`,"'=HYPERLINK(""x"")",`, ',"a,b",', ",'-1,", ',"two\nlines",']) assert.ok(table.includes(written), written);
});

test("it does not grow without end: the oldest go", () => {
  const recording = new Recording();
  for (let i = 0; i < 12; i++) recording.add(Array.from({ length: 1000 }, (_, j) => `{"seq":${1000 * i + j}}`));
  assert.equal(recording.size, 10_000);
  assert.ok(recording.jsonLines().startsWith('{"seq":2000}\n'));
  recording.clear();
  assert.equal(recording.size, 0);
});
