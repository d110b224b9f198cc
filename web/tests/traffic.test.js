import assert from "node:assert/strict";
import { test } from "node:test";

import { receivedBytes, sentBytes, sentPackets, videoSent } from "../engine/traffic.js";

/** @param {object[]} entries */
const report = (...entries) => new Map(entries.map((entry, i) => [String(i), entry]));

test("Chromium and Safari count on the transport", () => {
  const statistics = report(
    { type: "candidate-pair", bytesReceived: 40 },
    { type: "transport", bytesReceived: 70, bytesSent: 900 },
  );
  assert.equal(receivedBytes(statistics), 70);
  assert.equal(sentBytes(statistics), 900);
});

test("Firefox counts on its candidate pairs, of which one carries", () => {
  const statistics = report(
    { type: "candidate-pair", selected: true, bytesReceived: 70 },
    { type: "candidate-pair", selected: false, bytesReceived: 0 },
    { type: "candidate-pair", state: "failed" },
  );
  assert.equal(receivedBytes(statistics), 70);
});

test("a transport that does not count leaves it to the candidate pairs", () => {
  const pair = { type: "candidate-pair", bytesReceived: 70 };
  assert.equal(receivedBytes(report({ type: "transport" }, pair)), 70);
  assert.equal(receivedBytes(report({ type: "transport", bytesReceived: 0 }, pair)), 70);
});

test("what nobody counts is unknown", () => {
  assert.equal(receivedBytes(report()), null);
  assert.equal(receivedBytes(report({ type: "transport", bytesReceived: undefined })), null);
});

test("packets of media are told from others", () => {
  const statistics = report({ type: "outbound-rtp", packetsSent: 7 }, { type: "transport", packetsSent: 9 });
  assert.equal(sentPackets(statistics), 7);
  assert.equal(sentPackets(report({ type: "outbound-rtp", packetsSent: 0 })), 0);
  assert.equal(sentPackets(report({ type: "transport", packetsSent: 9 })), null);
});

test("a link is narrow where it carries less than the server asks for", () => {
  const sent = (targetBitrate, qualityLimitationReason = "bandwidth") =>
    report({ type: "outbound-rtp", kind: "video", framesPerSecond: 7, targetBitrate, qualityLimitationReason });
  assert.deepEqual(videoSent(sent(90_000)), { framerate: 7, isNarrow: true });
  assert.deepEqual(videoSent(sent(90_000), 150_000), { framerate: 7, isNarrow: true });
  assert.equal(videoSent(sent(150_000), 150_000).isNarrow, false);
  assert.equal(videoSent(sent(400_000)).isNarrow, false);
  assert.equal(videoSent(sent(90_000, "cpu")).isNarrow, false);
});
