/**
 * What the page and the engine's iframe say to each other. Both sides take a message only from the very
 * window that they expect, of their own origin, and of a known shape; anything else is as if it never came.
 *
 * @module
 */

/** Marks our messages among those of extensions and tools; the number changes when the contract does. */
const PROTOCOL = "mediaserver-engine/1";

/**
 * @typedef {{kind: "camera", deviceId?: string | null} | {kind: "screen"} | {kind: "file", file: File}
 *   | {kind: "sample", url: string}} Source
 *
 * @typedef {object} View How the picture is shown.
 * @property {boolean} mirror Selfie view.
 * @property {boolean} sync Delay the shown picture by the age of the results, so that boxes sit exactly.
 * @property {boolean} labels
 */

/**
 * Page → engine. `start` may come once in the life of an engine; to start anew, load a new one.
 *
 * @typedef {{type: "start", source: Source, url: string, token: string | null,
 *   pipeline: import("./wire.js").PipelineConfig, view: View}} Start
 * @typedef {{type: "stop"}} Stop
 * @typedef {{type: "configure", pipeline: import("./wire.js").PipelineConfig}} Configure
 * @typedef {{type: "view", view: View}} SetView
 * @typedef {{type: "trigger"}} Trigger
 * @typedef {{type: "retry"}} Retry
 * @typedef {Start | Stop | Configure | SetView | Trigger | Retry} PageMessage
 */

/**
 * Engine → page. `alive` and, once the source is open, `stats` come twice a second.
 *
 * @typedef {{type: "ready"}} Ready
 * @typedef {{type: "alive"}} Alive
 * @typedef {{type: "opened", width: number, height: number}} Opened The source plays.
 * @typedef {{type: "state", state: "connecting" | "live" | "reconnecting" | "ended", code: string | null,
 *   detail: string, retryInMs: number | null}} EngineState
 * @typedef {{type: "failed", code: string, detail: string}} Failed The engine is done.
 * @typedef {{type: "welcome", session: string, models: string[]}} Welcome Which switches make sense.
 * @typedef {{type: "models", state: "ready" | "degraded"}} Models Whether the server reaches what runs them.
 * @typedef {{type: "texts", texts: {text: string, score: number}[], time: number}} Texts `time` is Unix ms.
 * @typedef {{type: "notice", code: string, message: string}} Notice
 *
 * @typedef {object} Stats
 * @property {"stats"} type
 * @property {import("./transport.js").TransportValue} transport
 * @property {number} renderFps
 * @property {number} inferenceFps
 * @property {number | null} resultAgeMs Median of the last second.
 * @property {number} drops Frames and results lost in the last second, all stages.
 * @property {number} bitrate Bit/s sent.
 * @property {number} objects Boxes on show.
 * @property {number | null} firstBoxMs From `start` to the first drawn box.
 * @property {Record<string, number>} timing_ms Of the newest result.
 *
 * @typedef {Ready | Alive | Opened | EngineState | Failed | Welcome | Models | Texts | Notice | Stats} EngineMessage
 */

/** @typedef {Record<string, Record<string, string>>} Shapes Type of each field (`typeof`), by message type. */

/** @type {Shapes} */
export const PAGE_MESSAGES = {
  start: { source: "object", url: "string", pipeline: "object", view: "object" },
  stop: {},
  configure: { pipeline: "object" },
  view: { view: "object" },
  trigger: {},
  retry: {},
};

/** @type {Shapes} */
export const ENGINE_MESSAGES = {
  ready: {},
  alive: {},
  opened: { width: "number", height: "number" },
  state: { state: "string", detail: "string" },
  failed: { code: "string", detail: "string" },
  welcome: { session: "string", models: "object" },
  models: { state: "string" },
  texts: { texts: "object", time: "number" },
  notice: { code: "string", message: "string" },
  stats: {
    transport: "string",
    renderFps: "number",
    inferenceFps: "number",
    drops: "number",
    bitrate: "number",
    objects: "number",
    timing_ms: "object",
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
