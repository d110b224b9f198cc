/**
 * What the user has chosen: kept for the next visit, and in the page's address as far as another can make use of it
 * (`?source=sample&models=detect,ocr&confidence=50&transport=jpeg`).
 *
 * @module
 */

import { keep, kept } from "./kept.js";

const NAME = "settings";
const SOURCES = ["camera", "screen", "file", "sample"];
const STAGES = ["detect", "pose", "segment", "ocr", "flow"];

/**
 * @typedef {object} Settings
 * @property {string | null} source One of `SOURCES`; other cameras are called by ids, which mean nothing elsewhere. null until one
 *   is chosen.
 * @property {string[]} models Stages that are on.
 * @property {number} confidence 5..95, per cent.
 * @property {boolean} jpegOnly
 * @property {boolean} sync
 * @property {boolean} labels
 * @property {boolean} numbers Ids and scores in the labels.
 * @property {boolean} shortcuts Keys of a single letter.
 * @property {Record<string, boolean>} mirror By what is shown: see `Mirroring`.
 */

/** Which needs no word in the address. */
const USUAL_SOURCE = "camera";
/** @type {Settings} */
const DEFAULTS = {
  source: null,
  models: ["detect", "pose"],
  confidence: 35,
  jpegOnly: false,
  sync: false,
  labels: true,
  numbers: false,
  shortcuts: true,
  mirror: {},
};

/** @returns {Settings} */
export function loadSettings() {
  return readSettings(location.search, kept("localStorage", NAME));
}

/** @param {Settings} settings */
export function keepSettings(settings) {
  keep("localStorage", NAME, JSON.stringify(settings));
  history.replaceState(history.state, "", location.pathname + addressOf(location.search, settings) + location.hash);
}

/**
 * The address counts more than what is kept; what makes no sense is as if it were not there.
 *
 * @param {string} search Of the page's address.
 * @param {string} stored
 * @returns {Settings}
 */
export function readSettings(search, stored) {
  const asked = new URLSearchParams(search);
  const before = parse(stored);
  const models = asked.get("models")?.split(",") ?? before.models;
  const confidence = Number(asked.get("confidence") ?? before.confidence);
  /** @param {"sync" | "labels" | "numbers" | "shortcuts"} name */
  const flag = (name) => (typeof before[name] === "boolean" ? before[name] : DEFAULTS[name]);
  return {
    source: [asked.get("source"), before.source].find((name) => SOURCES.includes(name)) ?? null,
    models: Array.isArray(models) ? STAGES.filter((stage) => models.includes(stage)) : DEFAULTS.models,
    confidence: confidence >= 5 && confidence <= 95 ? 5 * Math.round(confidence / 5) : DEFAULTS.confidence,
    jpegOnly: asked.has("transport") ? asked.get("transport") === "jpeg" : before.jpegOnly === true,
    sync: flag("sync"),
    labels: flag("labels"),
    numbers: flag("numbers"),
    shortcuts: flag("shortcuts"),
    mirror: Object.fromEntries(Object.entries(Object(before.mirror)).filter(([, on]) => typeof on === "boolean")),
  };
}

/**
 * @param {string} search Of the page's address as it is.
 * @param {Settings} settings
 * @returns {string} The same with these settings, of which the usual are left out.
 */
export function addressOf(search, { source, models, confidence, jpegOnly }) {
  const address = new URLSearchParams(search);
  /** @param {string} name @param {string} value @param {string} usual */
  const set = (name, value, usual) => (value === usual ? address.delete(name) : address.set(name, value));
  set("source", source !== null && SOURCES.includes(source) ? source : USUAL_SOURCE, USUAL_SOURCE);
  set("models", models.join(","), DEFAULTS.models.join(","));
  set("confidence", String(confidence), String(DEFAULTS.confidence));
  set("transport", jpegOnly ? "jpeg" : "auto", "auto");
  const words = address.toString().replaceAll("%2C", ",");
  return words === "" ? "" : `?${words}`;
}

/** @param {string} stored @returns {any} */
function parse(stored) {
  try {
    return Object(JSON.parse(stored));
  } catch {
    return {};
  }
}
