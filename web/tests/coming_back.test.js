import assert from "node:assert/strict";
import { test } from "node:test";

import { ComingBack } from "../engine/coming_back.js";

const WELCOME = { resume_token: "r", node: "a" };

test("pauses grow, are never shorter than the server wishes, and are short again once there was a session", () => {
  const back = new ComingBack(null);
  const pauses = Array.from({ length: 8 }, () => back.pauseAfter(false, 0));
  assert.ok(pauses[0] <= 300 && pauses[7] >= 2400 && pauses[7] <= 3600, String(pauses));
  assert.equal(back.pauseAfter(true, 60_000), 60_000);
  back.welcomed(WELCOME);
  assert.ok(back.pauseAfter(false, 0) <= 300);
});

test("a server of many that has no place for the session is left at once", () => {
  const back = new ComingBack({ token: "r", node: "a" });
  assert.equal(back.pauseAfter(true, 5000), 0);
  assert.equal(back.node, null);
  assert.equal(back.resumeToken, "r");
  assert.ok(back.pauseAfter(true, 5000) >= 5000);
});

test("the token of a server that sends its clients elsewhere opens one door", () => {
  const back = new ComingBack(null);
  back.welcomed(WELCOME);
  back.ended({ code: "server_restarting", detail: "", retryAfterMs: 0, moved: true, token: "passage", refused: false });
  assert.equal(back.tokenOr("key"), "passage");
  assert.equal(back.node, null);
  back.welcomed(WELCOME);
  assert.equal(back.tokenOr("key"), "key");
});

test("who is woken does not wait on", async () => {
  const back = new ComingBack(null);
  back.wake(); // there is nothing to wake
  const pause = back.pause(60_000);
  back.wake();
  await pause;
});
