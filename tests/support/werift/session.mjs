/**
 * A client written from docs/protocol.md alone, on werift and ws. It goes through a session: WebRTC, OCR, a lost
 * socket, JPEG frames, the end. The server has one place, so others are refused meanwhile.
 *
 *     node session.mjs URL MEDIA
 *
 * MEDIA is a JSON file: `frames` has for each frame an array of VP8 payloads in base64, `jpeg` a picture. Prints, as
 * JSON, what came.
 */

import { readFileSync } from "node:fs";

import { MediaStreamTrack, RTCPeerConnection, RtpHeader, RtpPacket, useVP8 } from "werift";
import WebSocket from "ws";

const [url, file] = process.argv.slice(2);
const { frames, jpeg } = JSON.parse(readFileSync(file, "utf8"));
const report = { said: [], heard: [], ways: {}, late: 0 };
let waiting = [];
let newestSeq = 0;

/** The next message that `wanted` takes; those before it are over. */
function next(wanted) {
  return new Promise((resolve) => waiting.push({ wanted, resolve }));
}

function hear(way, message) {
  const name = message.type === "event" ? `event ${message.event}` : message.type;
  if (report.heard.at(-1) !== name) report.heard.push(name);
  if (message.type === "result") {
    report.ways[way] = (report.ways[way] ?? 0) + 1;
    if (message.seq <= newestSeq) {
      report.late += 1; // the data channel is unordered
      return;
    }
    newestSeq = message.seq;
  }
  const met = waiting.filter(({ wanted }) => wanted(message, way));
  waiting = waiting.filter((each) => !met.includes(each));
  for (const { resolve } of met) resolve(message);
}

const isType = (type) => (message) => message.type === type;
const resultBy = (wanted) => (message, way) => message.type === "result" && way === wanted;

async function connect(address) {
  const socket = new WebSocket(address);
  socket.on("message", (data) => hear("websocket", JSON.parse(data.toString())));
  await new Promise((resolve, reject) => socket.on("open", resolve).on("error", reject));
  return socket;
}

function say(socket, message) {
  if (report.said.at(-1) !== message.type) report.said.push(message.type);
  socket.send(JSON.stringify(message));
}

/** How the server answers an upgrade that it refuses. */
function refusal(address) {
  return new Promise((resolve) => {
    new WebSocket(address).on("unexpected-response", (_, response) => {
      let body = "";
      response.on("data", (part) => (body += part));
      response.on("end", () => {
        resolve({ status: response.statusCode, retryAfter: response.headers["retry-after"], ...JSON.parse(body) });
      });
    });
  });
}

/** What comes to a watcher of `session`, up to its first result. */
function watched(address, session) {
  const socket = new WebSocket(address);
  const types = [];
  socket.on("open", () => socket.send(JSON.stringify({ type: "hello", watch: session })));
  return new Promise((resolve) => {
    socket.on("message", (data) => {
      const { type, state } = JSON.parse(data.toString());
      types.push(state ?? type);
      if (type !== "result") return;
      socket.send(JSON.stringify({ type: "bye" }));
      resolve(types);
    });
  });
}

async function publish(socket) {
  const connection = new RTCPeerConnection({ codecs: { video: [useVP8()], audio: [] }, iceServers: [] });
  const track = new MediaStreamTrack({ kind: "video" });
  connection.addTransceiver(track, { direction: "sendonly" });
  const channel = connection.createDataChannel("results", { ordered: false, maxRetransmits: 0 });
  channel.onMessage.subscribe((data) => hear("datachannel", JSON.parse(data.toString())));
  await connection.setLocalDescription(await connection.createOffer());
  const lines = connection.localDescription.sdp.split("\r\n");
  const isCandidate = (line) => line.startsWith("a=candidate:") || line === "a=end-of-candidates";
  const answered = next(isType("answer"));
  say(socket, { type: "offer", sdp: lines.filter((line) => !isCandidate(line)).join("\r\n"), camera_framerate: 30 });
  const first = lines.slice(0, lines.findLastIndex((line) => line.startsWith("m=")));
  for (const line of first.filter((each) => each.startsWith("a=candidate:"))) {
    say(socket, { type: "candidate", candidate: { candidate: line.slice(2), sdpMLineIndex: 0 } });
  }
  say(socket, { type: "candidate", candidate: null });
  const { sdp } = await answered;
  await connection.setRemoteDescription({ type: "answer", sdp });
  if (connection.connectionState !== "connected") {
    await connection.connectionStateChange.watch((state) => state === "connected");
  }
  return { connection, stop: play(track) };
}

/** 30 frames per second, over and over. */
function play(track) {
  let sequenceNumber = 1;
  let sent = 0;
  const timer = setInterval(() => {
    const payloads = frames[sent % frames.length];
    for (const [i, payload] of payloads.entries()) {
      const marker = i === payloads.length - 1;
      const header = new RtpHeader({ sequenceNumber, timestamp: sent * 3000, payloadType: 96, ssrc: 1234, marker });
      track.writeRtp(new RtpPacket(header, Buffer.from(payload, "base64")));
      sequenceNumber = (sequenceNumber + 1) & 0xffff;
    }
    sent += 1;
  }, 33);
  return () => clearInterval(timer);
}

/** A JPEG frame with its capture time in a comment segment right after SOI. */
function stamped(picture, captureTimeMs) {
  const text = Buffer.from(`capture_time_ms=${captureTimeMs.toFixed(3)}`, "ascii");
  const head = Buffer.from([0xff, 0xd8, 0xff, 0xfe, 0, 0]);
  head.writeUInt16BE(text.length + 2, 4);
  return Buffer.concat([head, text, picture.subarray(2)]);
}

async function ask(socket, message, answer) {
  const answered = next(isType(answer));
  say(socket, message);
  return answered;
}

// --- a session over WebRTC ---

let socket = await connect(url);
const hello = { type: "hello", pipeline: { pose: false } };
const welcome = await ask(socket, hello, "welcome");
const own = `${url}?node=${encodeURIComponent(welcome.node)}`;
const media = await publish(socket);
await next(resultBy("datachannel"));
report.refused = await refusal(url);
report.plain = (await fetch(url.replace(/^ws/, "http"))).status;
report.watched = await watched(own, welcome.session);
await next(isType("rate"));

const sentAt = Date.now();
const pong = await ask(socket, { type: "ping", id: 1 }, "pong");
const clock_offset_ms = pong.server_time_ms - (sentAt + Date.now()) / 2;
await ask(socket, { type: "ping", id: 2, clock_offset_ms }, "pong");
report.offsetMs = clock_offset_ms;
say(socket, { type: "report", render_fps: 30, result_age_ms: 50 });
say(socket, { type: "configure", pipeline: { detect_threshold: 0.5 } });
report.error = await ask(socket, { type: "dance" }, "error");
const read = next((message) => message.event === "ocr");
say(socket, { type: "trigger" });
const event = await read;
report.eventId = event.id;

// --- the socket is lost, and media goes on ---

socket.terminate();
await next(resultBy("datachannel"));
socket = await connect(own);
const again = await ask(
  socket,
  {
    ...hello,
    resume: welcome.resume_token,
    keep_media: true,
    last_event_id: event.id,
    seq_floor: newestSeq,
  },
  "welcome",
);
report.resumed = again.resumed && again.media_kept && again.session === welcome.session;
await next(resultBy("datachannel"));

// --- JPEG frames ---

media.stop();
await media.connection.close();
const captured = new Set();
const shown = next((message) => message.type === "result" && captured.has(message.frame.capture_time_ms));
const sending = setInterval(() => {
  const captureTimeMs = Date.now();
  captured.add(captureTimeMs);
  socket.send(stamped(Buffer.from(jpeg, "base64"), captureTimeMs));
}, 100);
report.jpeg = await shown;
clearInterval(sending);

// --- the end ---

const closed = new Promise((resolve) => socket.on("close", resolve));
report.closing = await ask(socket, { type: "bye" }, "closing");
report.closeCode = await closed;

// --- a version that is not supported ---

const plain = await fetch(own.replace(/^ws/, "http"));
report.plainAgain = { status: plain.status, ...(await plain.json()) };
socket = await connect(own);
const end = next(isType("closing"));
report.fatal = await ask(socket, { type: "hello", protocol: 99 }, "error");
report.end = await end;

console.log(JSON.stringify(report));
process.exit();
