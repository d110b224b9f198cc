/**
 * A client on werift: WebRTC that is neither a browser's nor aiortc's, and knows docs/protocol.md only.
 *
 *     node client.mjs URL CHANNEL CODEC FRAMES
 *
 * FRAMES is a JSON file: for each frame an array of RTP payloads, in base64. They are sent at 30 fps, over and over,
 * until ENOUGH results came. Prints, as JSON, how many came over which channel, and the names in the last of them.
 */

import { readFileSync } from "node:fs";

import { MediaStreamTrack, RTCPeerConnection, RtpHeader, RtpPacket, useH264, useVP8 } from "werift";
import WebSocket from "ws";

const ENOUGH = 60;
const INTERVAL_MS = 33;
const TICKS = 3000; // of the 90 kHz clock, in a frame
const [url, channel, codec, file] = process.argv.slice(2);
const frames = JSON.parse(readFileSync(file, "utf8"));

const connection = new RTCPeerConnection({
  codecs: { video: [codec === "VP8" ? useVP8() : useH264()], audio: [] },
  iceServers: [],
});
const track = new MediaStreamTrack({ kind: "video" });
connection.addTransceiver(track, { direction: "sendonly" });
const socket = new WebSocket(url);
const results = { websocket: 0, datachannel: 0 };
let last = null;

/** @param {keyof typeof results} way @param {{detections: {label: string}[] | null}} result */
function take(way, result) {
  results[way] += 1;
  last = result;
  if (results[way] === ENOUGH) socket.send(JSON.stringify({ type: "bye" }));
}

if (channel === "datachannel") {
  const opened = connection.createDataChannel("results", { ordered: false, maxRetransmits: 0 });
  opened.onMessage.subscribe((data) => take("datachannel", JSON.parse(data.toString())));
}

async function offer() {
  await connection.setLocalDescription(await connection.createOffer());
  socket.send(JSON.stringify({ type: "offer", sdp: connection.localDescription.sdp }));
}

function play() {
  let sequenceNumber = 1000;
  let sent = 0;
  setInterval(() => {
    const payloads = frames[sent % frames.length];
    payloads.forEach((payload, i) => {
      const marker = i === payloads.length - 1;
      const header = new RtpHeader({ sequenceNumber, timestamp: sent * TICKS, payloadType: 96, ssrc: 1234, marker });
      track.writeRtp(new RtpPacket(header, Buffer.from(payload, "base64")));
      sequenceNumber = (sequenceNumber + 1) & 0xffff;
    });
    sent += 1;
  }, INTERVAL_MS);
}

connection.connectionStateChange.subscribe((state) => {
  if (state === "connected") play();
});
socket.on("open", () => socket.send(JSON.stringify({ type: "hello", channel })));
socket.on("message", (data) => {
  const message = JSON.parse(data.toString());
  switch (message.type) {
    case "welcome":
      return void offer();
    case "answer":
      return void connection.setRemoteDescription({ type: "answer", sdp: message.sdp });
    case "result":
      return take("websocket", message);
    case "closing": {
      const labels = (last?.detections ?? []).map(({ label }) => label).sort();
      console.log(JSON.stringify({ results, labels, reason: message.reason }));
      process.exit();
    }
  }
});
