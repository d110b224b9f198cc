import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import { FailureCode } from "../shared/failure.js";
import { Lifecycle } from "../ui/lifecycle.js";

/** @type {{path: string, at: number}[]} */
let asked = [];
/** @type {object[]} What the service answers, in order: a body, with `http` where it is not 200. */
let answers = [];
let now = 0;

beforeEach(() => {
  asked = [];
  now = 0;
  // Time passes only where the page waits.
  mock.method(globalThis, "setTimeout", (done, ms = 0) => {
    if (ms < 15_000 || ms > 15_000) now += ms;
    queueMicrotask(done);
    return 0;
  });
  mock.method(globalThis, "fetch", async (url) => {
    asked.push({ path: new URL(url, "https://page.example").pathname, at: now });
    const { http = 200, ...body } = answers.shift() ?? assert.fail("asked once too often");
    if (http === 0) throw new TypeError("network");
    return new Response(JSON.stringify(body), { status: http });
  });
  mock.method(AbortSignal, "timeout", () => new AbortController().signal);
});

afterEach(() => mock.restoreAll());

/** @param {object[]} given */
async function waited(given) {
  answers = given;
  /** @type {import("../ui/lifecycle.js").Waiting[]} */
  const told = [];
  const lifecycle = new Lifecycle("/api", () => "key");
  const status = await lifecycle.startAndWait((waiting) => told.push(waiting), new AbortController().signal);
  assert.deepEqual(answers, []);
  return { status, told };
}

const ready = { state: "ready", message: "Ready.", token: "new" };
const booting = { state: "booting", message: "Booting.", wait_s: 60 };

test("what is ready at once is asked for once", async () => {
  const { status } = await waited([ready]);
  assert.equal(status.token, "new");
  assert.deepEqual(asked.map(({ path }) => path), ["/api/start"]);
});

test("who has waited presses once more: the first token may be too old, and the time half over", async () => {
  const { status } = await waited([{ ...booting, token: "old" }, booting, { state: "ready" }, ready]);
  assert.equal(status.token, "new");
  assert.deepEqual(asked.map(({ path }) => path), ["/api/start", "/api/status", "/api/status", "/api/start"]);
});

test("the longer it takes, the less often it is asked, but every five seconds at least", async () => {
  await waited([booting, ...Array(20).fill(booting), { state: "ready" }, ready]);
  const pauses = asked.slice(1, -1).map(({ at }, index) => at - asked[index].at);
  assert.equal(pauses[0], 2000);
  assert.equal(pauses.at(-1), 5000);
  assert.deepEqual(pauses, [...pauses].sort((a, b) => a - b));
});

test("an answer that is missing among many ends no wait", async () => {
  const { told } = await waited([
    booting,
    { http: 429, message: "AWS is busy.", retry_s: 7 },
    { http: 502 },
    { http: 0 },
    { http: 503, message: "No machine is free.", retry_s: 120 },
    { state: "ready" },
    ready,
  ]);
  assert.deepEqual(told.slice(1).map(({ message, wait_s: wait }) => [message, wait]), [
    ["AWS is busy.", 7],
    ["HTTP 502", 5],
    ["No answer from the service (TypeError: network).", 5],
    ["No machine is free.", 120],
  ]);
  assert.equal(asked[2].at - asked[1].at, 7000);
});

test("but not for ever", async () => {
  await assert.rejects(waited(Array(12).fill({ http: 502 })), { code: FailureCode.GPU_FAILED });
});

test("a start that came to nothing is made again when it makes sense, and not for ever", async () => {
  const none = { state: "unavailable", message: "AWS has no machine free.", retry_s: 40 };
  const { told } = await waited([booting, none, booting, { state: "ready" }, ready]);
  assert.deepEqual(told[1], { ...none, wait_s: 40 });
  assert.deepEqual(asked.map(({ path }) => path.slice(5)), ["start", "status", "start", "status", "start"]);
  assert.equal(asked[2].at - asked[1].at, 40_000);
  await assert.rejects(waited(Array(10).fill(none)), { code: FailureCode.GPU_FAILED, message: none.message });
});

test("nor is a machine that is off again without a word started for ever", async () => {
  const off = { state: "stopped", message: "The GPU machine is off." };
  const starting = { state: "starting", message: "Starting." };
  await assert.rejects(waited(Array(10).fill([starting, off]).flat()), { message: off.message });
  assert.equal(asked.filter(({ path }) => path === "/api/start").length, 10);
});

test("what will not change is told at once", async () => {
  await assert.rejects(waited([{ http: 403 }]), { code: FailureCode.UNAUTHORIZED });
  await assert.rejects(waited([{ http: 500, message: "Tell the operator." }]), { message: "Tell the operator." });
  await assert.rejects(waited([{ http: 0 }]), { code: FailureCode.LIFECYCLE_UNREACHABLE });
  await assert.rejects(waited([booting, { state: "failed", message: "It failed." }]), { message: "It failed." });
});
