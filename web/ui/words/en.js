/**
 * Everything the page says, in English.
 *
 * @module
 */

import { FailureCode } from "../../shared/failure.js";
import { Transport } from "../../shared/transport.js";
import { enFailures } from "./en_failures.js";

/** @typedef {typeof en} Words What each language has. */

/** @typedef {{title: string, advice: string, button: string | null}} FailureWords What happened, what to do about it, and the
 *   button that does it (null where the page waits by itself). */

/** Of COCO's labels, where they are not made with an s. @type {Record<string, string>} */
const PLURALS = { person: "people", bus: "buses", bench: "benches", sheep: "sheep", skis: "skis", knife: "knives", mouse: "mice" };

export const en = {
  language: "en",

  /** Of `index.html`, by `data-words`; with `data-words-label` they name an element, with `data-words-title` they explain it. */
  page: {
    title: "Mediaserver – live vision",
    picture: "Picture",
    comesBack: "It comes back by itself",
    keepAlive: "Keep alive",
    until: "until",
    turnOff: "Turn off",
    invitation: "See what the camera sees",
    promise: "People, objects, poses and text, found live. Pictures are looked at and forgotten; nothing is stored.",
    key: "Access key",
    startCamera: "Start camera",
    playSample: "Play the sample",
    playFile: "Choose a video file",
    retry: "Try now",
    look: "What to look at",
    session: "Session",
    start: "Start",
    source: "Source",
    camera: "Camera",
    screen: "Screen",
    file: "Video file…",
    sample: "Sample clip",
    fileField: "Video file",
    mirror: "Mirror",
    sync: "Exact boxes",
    syncTitle: "Shows the picture a little late, so that boxes sit exactly",
    labels: "Labels",
    fullScreen: "Full screen",
    find: "Find",
    detect: "Objects",
    detectHint: "A box around each thing",
    pose: "Poses",
    poseHint: "Skeletons of people",
    segment: "Outlines",
    segmentHint: "The shape of each thing",
    ocr: "Text",
    ocrHint: "Read when the picture settles",
    flow: "Motion",
    flowHint: "Arrows that show where things go",
    synthetic: "Trained on drawn scenes: will not recognise real people. For these, where the server runs:",
    confidence: "Confidence",
    found: "Found",
    nothingFound: "Nothing found yet.",
    hideKind: "Hide or show these",
    position: "Where in the clip",
    count: "Count",
    countHint: "Who crosses a line, or is in a zone. Kinds that are hidden are not counted.",
    countLine: "Line",
    countZone: "Zone",
    countRemove: "Remove",
    countDraw: "Drag over the picture to draw it.",
    save: "Save",
    saveHint: "Files are made in this browser; nothing is sent.",
    savePicture: "Picture",
    saveLines: "Results (JSONL)",
    saveTable: "Results (CSV)",
    text: "Text",
    readNow: "Read now",
    log: "Text that was read",
    noText: "What is read appears here.",
    settings: "Settings",
    transport: "Transport",
    transportAuto: "Automatic",
    transportJpeg: "Single pictures",
    numbers: "Numbers on labels",
    numbersHint: "Which one it is, and how sure",
    shortcuts: "Keys of one letter",
    keyStart: "start, stop",
    keyRead: "read now",
    keyMirror: "mirror",
    keyFull: "full screen",
    diagnostics: "Diagnostics",
    copy: "Copy",
    stopHint: "It stops by itself when its time is up. Others may be using it.",
    stopSession: "Only my session",
    cancel: "Cancel",
  },

  /** In the engine's own document, and on the picture. */
  engine: {
    frame: "Camera picture",
    overlay: "Camera picture with what was found in it",
    play: "Play",
    person: "person",
    /** With seconds in place of #. */
    ago: "# s ago",
  },

  /** @type {Record<import("../state.js").PageStateValue, string>} */
  states: {
    idle: "Ready",
    starting_gpu: "Starting the GPU",
    waiting: "Waiting for the GPU",
    connecting: "Connecting",
    live: "Live",
    degraded: "Models away",
    paused: "Paused",
    reconnecting: "Reconnecting",
    stopping: "Stopping",
    failed: "Stopped",
  },
  keyNeeded: "Access key needed",
  /** While it is tried again and has not been live yet: nothing is taken up again. @type {Record<string, string>} */
  waiting: {
    [FailureCode.SERVER_BUSY]: "Waiting for a place",
    [FailureCode.FLEET_GROWING]: "Waiting for a place",
    [FailureCode.TOO_MANY_SESSIONS]: "Waiting for a place",
    [FailureCode.MODELS_LOADING]: "Waiting for the models",
    [FailureCode.SERVER_UNREACHABLE]: "Waiting for the server",
    [FailureCode.SERVER_RESTARTING]: "Waiting for the server",
  },

  start: "Start", stop: "Stop",
  /** By source; another camera is called by its id. @type {Record<string, string>} */
  starts: {
    camera: "Start camera",
    screen: "Share the screen",
    file: "Choose a file",
    sample: "Play the sample",
    watch: "Watch",
  },
  /** While the browser asks the user. @type {Record<string, string>} */
  opening: {
    camera: "If the browser asks for the camera, allow it.",
    screen: "Choose what to share in the browser's dialog.",
  },
  /** To the other camera of a phone, by the way that it looks. */
  facing: { user: "Front camera", environment: "Back camera" },
  /** @param {string} stream Of another. */
  watch: (stream) => `Watch ${stream}`,
  tap: "Tap the picture to play: this browser does not play it by itself.",
  reading: "Reading…", nothingRead: "Nothing to read here.",

  /** Of the GPU machine. */
  machine: {
    stopBoth: "Stop the GPU machine too?",
    stop: "Stop the GPU machine?",
    both: "The machine too",
    it: "Stop it",
    /** @param {string} clock */
    stopsIn: (clock) => `stops in ${clock}`,
    /** @param {number} run @param {number} month US dollars. */
    cost: (run, month) => `about $${run.toFixed(2)} now, $${month.toFixed(2)} this month`,
  },
  /** @param {string} clock */
  toGo: (clock) => `About ${clock} to go.`,
  /** @param {number} seconds */
  nextTry: (seconds) => `Next try in ${seconds} s.`,

  /** What gives way while the server cannot keep up. @type {Record<import("../../shared/wire.js").Stage, string>} */
  given: {
    flow: "motion paused",
    ocr: "reading paused",
    segment: "outlines at half rate",
    pose: "skeletons at half rate",
    detect: "fewer results a second",
  },
  /** @param {string} what */
  busy: (what) => `Server busy: ${what}`,

  /** Why single pictures go over the WebSocket. */
  bridged: {
    silent: "Video gets no way through now: single pictures go over the WebSocket, fewer a second.",
    blocked: "UDP is blocked here: single pictures go over the WebSocket, fewer a second.",
    noWebrtc: "This browser has no WebRTC, or it is switched off: single pictures go over the WebSocket, fewer a second.",
    blank:
      "This browser's protection against fingerprinting makes the pictures blank, and WebRTC gets no way through. " +
      "Allow canvas data for this page.",
  },
  network: {
    late: "Results are late: the network holds them up.",
    slow: "Results are slow: the server takes long for each.",
    /** @param {number} seconds */
    age: (seconds) => `They are ${seconds.toFixed(1)} s old: what they show is faded.`,
    /** @param {number | null} rate Pictures a second, where it is known. */
    narrow: (rate) =>
      `Your link is too narrow for video${rate === null ? "" : `: sending ${rate} picture${rate === 1 ? "" : "s"} a second`}.`,
  },

  /** @param {number} ms Of the newest results. */
  age: (ms) => `results ${ms} ms old`,
  /** @param {number} count @param {string} label A singular, as models know it. */
  found: (count, label) => `${count} ${count === 1 ? label : (PLURALS[label] ?? `${label}s`)}`,

  play: "Play", pause: "Pause",
  /** @param {number} came @param {number} left @param {number | null} inside Of a zone. */
  crossings: (came, left, inside) => `In ${came} · out ${left}${inside === null ? "" : ` · inside ${inside}`}`,
  /** @param {number} count Of results that can be saved. */
  kept: (count) => (count === 1 ? "1 result." : `${count} results.`),

  /** What runs the models. @type {Record<string, string>} */
  engines: { embedded: "All of it runs in the server, on ONNX Runtime.", triton: "All of it runs on NVIDIA Triton." },
  drawn: "drawn scenes only",
  drawnFirst: "The models of this server know drawn scenes only, so the sample comes first. They recognise no real people.",
  /** @param {number} count Of things that a model can find. */
  kinds: (count) => `${count} ${count === 1 ? "kind" : "kinds"}`,

  /** @type {Record<string, {name: string, title: string}>} */
  gauges: {
    display: { name: "Display", title: "Pictures drawn a second" },
    inference: { name: "Inference", title: "Results a second" },
    age: { name: "Result age", title: "From the camera to the result" },
    skipped: { name: "Skipped", title: "Frames passed over for a newer one" },
    sending: { name: "Sending", title: "Sent to the server" },
    objects: { name: "Objects", title: "Boxes and skeletons on show" },
  },

  /** @type {Record<import("../../shared/transport.js").TransportValue, {label: string, title: string}>} */
  transports: {
    [Transport.NONE]: { label: "–", title: "Not connected" },
    [Transport.DATACHANNEL]: { label: "WebRTC", title: "Video over WebRTC, results over a data channel" },
    [Transport.WEBSOCKET]: { label: "WebRTC + WS", title: "Video over WebRTC, results over the WebSocket" },
    [Transport.JPEG]: { label: "JPEG", title: "No WebRTC: single pictures over the WebSocket" },
  },

  unknown: { title: "Something went wrong", button: "Try again" },

  failures: enFailures,
};
