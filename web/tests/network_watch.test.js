import assert from "node:assert/strict";
import { test } from "node:test";

import { NetworkWatch } from "../engine/network_watch.js";
import { networkWords } from "../ui/words.js";

const well = { isNarrow: false, isBlocked: false };

test("what lasts is told, and ends", () => {
  const watch = new NetworkWatch();
  const told = [];
  for (let second = 0; second < 20; second++) {
    told.push(watch.observe({ ...well, isNarrow: second > 2 && second < 12 }, 50, 40, second * 1000));
  }
  assert.deepEqual([...new Set(told)], ["none", "narrow"]);
  assert.equal(told[6], "none");
  assert.equal(told[9], "narrow");
  assert.equal(told.at(-1), "none");
});

test("late results are told", () => {
  const watch = new NetworkWatch();
  const told = [0, 2000, 5000].map((now) => watch.observe(well, 1500, 100, now));
  assert.equal(told.at(-1), "late");
});

test("results that the server takes long for are told from those that the network holds up", () => {
  const watch = new NetworkWatch();
  const told = [0, 2000, 5000, 6000, 11_000].map((now) => watch.observe(well, now < 6000 ? 900 : 700, 850, now));
  assert.deepEqual(told, ["none", "none", "slow", "none", "none"]);
});

test("that UDP is blocked is told at once", () => {
  const watch = new NetworkWatch();
  assert.equal(watch.observe({ ...well, isBlocked: true }, null, 0, 0), "blocked");
  assert.equal(watch.observe(well, null, 0, 500), "none");
});

test("the words say how many pictures go", () => {
  assert.match(networkWords("narrow", 3.2, 80), /too narrow for video: sending 3 pictures a second/);
  assert.match(networkWords("narrow", 0.7, null), /sending 1 picture a second/);
  assert.match(networkWords("slow", 9, 1240), /the server takes long.*1\.2 s old/);
  assert.match(networkWords("late", 9, 1000), /the network.*1\.0 s old/);
  assert.equal(networkWords("none", 9, 80), "");
  assert.equal(networkWords("blocked", 9, 80), "");
});
