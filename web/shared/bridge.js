/**
 * What the page and the engine's iframe say to each other. Both sides take a message only from the very
 * window that they expect, of their own origin, and of a known shape; anything else is as if it never came.
 *
 * @module
 */

/** Marks our messages among those of extensions and tools; the number changes when the contract does. */
const PROTOCOL = "mediaserver-engine/1";

/**
 * @typedef {{kind: "camera", deviceId?: string, facing?: "user" | "environment"}} Camera The default one, where neither is
 *   given.
 * @typedef {Camera | {kind: "screen"} | {kind: "file", file: File} | {kind: "sample", urls: string[]}
 *   | {kind: "watch", name: string}} Source
 *   `watch` is another's stream: what is found in it is shown on a blank, as its picture is not here. `urls` are of the same
 *   clip in several formats.
 *
 * @typedef {object} View How the picture is shown.
 * @property {boolean} mirror Selfie view.
 * @property {boolean} sync Delay the shown picture by the age of the results, so that boxes sit exactly.
 * @property {boolean} labels
 * @property {boolean} [numbers] Ids and scores in the labels.
 * @property {readonly string[]} [hidden] Kinds of things, by label, that are not drawn, and not counted at a line or a zone.
 *
 * @typedef {{shape: "line" | "zone", points: readonly number[]}} Region x, y of two points in 0..1 of the frame: the ends of a line,
 *   or corners of a zone. Who crosses a line to the right of who looks along it comes in.
 * @typedef {{in: number, out: number, inside: number | null}} Crossings `inside` is of a zone.
 */

/** @typedef {{token: string, node: string | null}} Resume What leads back to a session. */

/**
 * Page → engine. `start` may come once in the life of an engine; to start anew, load a new one.
 *
 * @typedef {{type: "start", source: Source, url: string, token: string | null,
 *   resume: Resume | null, jpegOnly: boolean, pipeline: import("./wire.js").PipelineConfig, view: View,
 *   words: {overlay: string, play: string, person: string, ago: string}}} Start `words` are those in the engine. `resume`: of the
 *   session to go on with.
 * @typedef {{type: "source", source: Source}} SetSource In place of the one that is open; never from or to `watch`.
 * @typedef {{type: "transport", jpegOnly: boolean}} SetTransport
 * @typedef {{type: "stop"}} Stop
 * @typedef {{type: "configure", pipeline: import("./wire.js").PipelineConfig}} Configure
 * @typedef {{type: "view", view: View}} SetView
 * @typedef {{type: "trigger"}} Trigger
 * @typedef {{type: "retry"}} Retry
 * @typedef {{type: "film", paused: boolean}} SetFilm Of a clip.
 * @typedef {{type: "seek", time: number}} Seek To so many seconds.
 * @typedef {{type: "region", region: Region | null, drawing: boolean}} SetRegion `drawing`: the next drag over the picture draws it anew.
 * @typedef {{type: "snapshot"}} AskSnapshot
 * @typedef {Start | Stop | SetSource | SetTransport | Configure | SetView | Trigger | Retry | SetFilm | Seek | SetRegion | AskSnapshot} PageMessage
 */

/**
 * Engine → page. `alive` and, once the source is open, `stats` come twice a second.
 *
 * @typedef {{type: "ready"}} Ready
 * @typedef {{type: "alive"}} Alive
 * @typedef {{type: "opened", width: number, height: number, facing: string}} Opened The source plays, or plays in another size.
 *   `facing` is a camera's `facingMode`, "" where it has none.
 * @typedef {{type: "cameras", cameras: {deviceId: string, label: string}[]}} Cameras Of this machine; named once one is open.
 * @typedef {{type: "kept", code: string, detail: string}} Kept The other source cannot be opened, and the last is still there.
 * @typedef {{type: "tap", needed: boolean}} Tap The browser plays only after a tap on the picture.
 * @typedef {{type: "state", state: "connecting" | "live" | "reconnecting" | "ended", code: string | null,
 *   detail: string, retryInMs: number | null}} EngineState
 * @typedef {{type: "failed", code: string, detail: string}} Failed The engine is done.
 * @typedef {{type: "welcome", session: string, resume: Resume | null, engine: string, models: Record<string, import("./wire.js").Model>}} Welcome Which
 *   switches make sense, and what is behind them.
 * @typedef {{type: "models", state: "ready" | "degraded"}} Models Whether the server reaches what runs them.
 * @typedef {{type: "degraded", stages: import("./wire.js").Stage[]}} Degraded What gives way, as the server cannot keep up.
 * @typedef {{type: "paused", paused: boolean, code: string}} Paused Whether no pictures come, and why that would be.
 * @typedef {{type: "texts", texts: {id?: number, text: string, score: number}[], time: number}} Texts `time` is Unix ms.
 * @typedef {{type: "notice", code: string, message: string}} Notice
 * @typedef {{type: "drawn", points: number[]}} Drawn The line or the zone, by the user.
 * @typedef {{type: "snapshot", picture: Blob}} Snapshot A PNG of what is seen.
 *
 * @typedef {object} Stats
 * @property {"stats"} type
 * @property {import("./transport.js").TransportValue} transport
 * @property {NetworkTroubleValue} network What the user may be told of it.
 * @property {number} sendingFps Pictures sent a second; 0 where the browser does not tell.
 * @property {number} renderFps
 * @property {number} inferenceFps
 * @property {number | null} resultAgeMs Median of the last second.
 * @property {number} drops Frames and results lost in the last second, all stages.
 * @property {number} bitrate Bit/s sent.
 * @property {number} objects Boxes on show.
 * @property {Record<string, number>} counts Things in the picture, by label.
 * @property {number | null} firstBoxMs From `start` to the first drawn box.
 * @property {Record<string, number>} timing_ms Of the newest result.
 * @property {string[]} lines The protocol's messages since the last stats, as JSON, with `captured`: when their frame was.
 * @property {{time: number, duration: number, paused: boolean} | null} film Of a clip, in seconds.
 * @property {Crossings | null} crossings Of the line or the zone.
 *
 * @typedef {Ready | Alive | Opened | Cameras | Kept | Tap | EngineState | Failed | Welcome | Models | Degraded | Paused | Texts | Notice | Drawn | Snapshot | Stats} EngineMessage
 */

/** @typedef {typeof NetworkTrouble[keyof typeof NetworkTrouble]} NetworkTroubleValue */

/** What is wrong on the way, while results come. `SLOW` is the server, the others are the network. */
export const NetworkTrouble = Object.freeze({
  NONE: "none",
  NARROW: "narrow",
  LATE: "late",
  SLOW: "slow",
  BLOCKED: "blocked",
});

/** @typedef {Record<string, Record<string, string>>} Shapes Type of each field (`typeof`), by message type. */

/** @type {Shapes} */
export const PAGE_MESSAGES = {
  start: { source: "object", url: "string", pipeline: "object", view: "object", words: "object" },
  stop: {},
  source: { source: "object" },
  transport: { jpegOnly: "boolean" },
  configure: { pipeline: "object" },
  view: { view: "object" },
  trigger: {},
  retry: {},
  film: { paused: "boolean" },
  seek: { time: "number" },
  region: { drawing: "boolean" },
  snapshot: {},
};

/** @type {Shapes} */
export const ENGINE_MESSAGES = {
  ready: {},
  alive: {},
  opened: { width: "number", height: "number", facing: "string" },
  cameras: { cameras: "object" },
  kept: { code: "string", detail: "string" },
  tap: { needed: "boolean" },
  state: { state: "string", detail: "string" },
  failed: { code: "string", detail: "string" },
  welcome: { session: "string", models: "object", engine: "string" },
  models: { state: "string" },
  degraded: { stages: "object" },
  paused: { paused: "boolean", code: "string" },
  texts: { texts: "object", time: "number" },
  notice: { code: "string", message: "string" },
  drawn: { points: "object" },
  snapshot: { picture: "object" },
  stats: {
    transport: "string",
    network: "string",
    sendingFps: "number",
    renderFps: "number",
    inferenceFps: "number",
    drops: "number",
    bitrate: "number",
    objects: "number",
    counts: "object",
    timing_ms: "object",
    lines: "object",
  },
};

/**
 * @param {Window | null} target
 * @param {PageMessage | EngineMessage} message
 */
export function post(target, message) {
  target?.postMessage({ protocol: PROTOCOL, ...message }, location.origin);
}

/**
 * Listens to one window.
 *
 * @template {PageMessage | EngineMessage} M
 * @param {() => Window | null} peer
 * @param {Shapes} shapes `PAGE_MESSAGES` in the engine, `ENGINE_MESSAGES` in the page
 * @param {(message: M) => void} onMessage
 */
export function listen(peer, shapes, onMessage) {
  addEventListener("message", ({ origin, source, data }) => {
    if (origin !== location.origin || source === null || source !== peer()) return;
    if (hasShape(data, shapes)) onMessage(data);
  });
}

/**
 * @param {any} data
 * @param {Shapes} shapes
 */
function hasShape(data, shapes) {
  if (typeof data !== "object" || data === null || data.protocol !== PROTOCOL) return false;
  if (typeof data.type !== "string" || !Object.hasOwn(shapes, data.type)) return false;
  return Object.entries(shapes[data.type]).every(
    ([field, type]) => typeof data[field] === type && data[field] !== null,
  );
}
