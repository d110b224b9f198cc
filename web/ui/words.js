/**
 * Everything the page says, in the language of whoever reads it: one file each in `words/`. `?lang=de` chooses another.
 *
 * @module
 */

import { NetworkTrouble } from "../shared/bridge.js";
import { FailureCode } from "../shared/failure.js";
import { de } from "./words/de.js";
import { en } from "./words/en.js";

/** The first is for those who read none of them. */
export const LANGUAGES = [en, de];

/**
 * @param {readonly string[]} wished Language tags (BCP 47), the dearest first.
 * @returns {import("./words/en.js").Words}
 */
export function wordsFor(wished) {
  for (const tag of wished) {
    const found = LANGUAGES.find(({ language }) => language === tag.toLowerCase().split("-")[0]);
    if (found !== undefined) return found;
  }
  return LANGUAGES[0];
}

/** Outside of a browser, in tests, nobody has wishes. */
function wishes() {
  if (typeof location === "undefined") return [];
  const asked = new URLSearchParams(location.search).get("lang");
  return [...(asked === null ? [] : [asked]), ...navigator.languages];
}

export const WORDS = wordsFor(wishes());

/** Writes the words of `index.html` into it. */
export function writePage() {
  const page = /** @type {Record<string, string>} */ (WORDS.page);
  document.documentElement.lang = WORDS.language;
  document.title = WORDS.page.title;
  for (const element of document.querySelectorAll("[data-words]")) {
    element.textContent = page[element.getAttribute("data-words") ?? ""];
  }
  for (const [attribute, target] of [["data-words-label", "aria-label"], ["data-words-title", "title"]]) {
    for (const element of document.querySelectorAll(`[${attribute}]`)) {
      element.setAttribute(target, page[element.getAttribute(attribute) ?? ""]);
    }
  }
}

/**
 * @param {import("./state.js").PageStateValue} state
 * @param {string | null} code Why it is in that state.
 * @param {boolean} wasLive Whether it has been live since Start.
 */
export function stateWords(state, code, wasLive) {
  if (state === "failed" && code === FailureCode.KEY_NEEDED) return WORDS.keyNeeded;
  if (state !== "reconnecting" || wasLive) return WORDS.states[state];
  return WORDS.waiting[code ?? ""] ?? WORDS.states.connecting;
}

/** @param {import("../shared/wire.js").Stage[]} stages @returns {string} Empty where nothing gives way. */
export function busyWords(stages) {
  const words = stages.map((stage) => WORDS.given[stage]).filter(Boolean); // a newer server may have others
  return words.length === 0 ? "" : WORDS.busy(words.join(", "));
}

/**
 * @param {import("../shared/bridge.js").NetworkTroubleValue} trouble
 * @param {number} framerate Pictures sent a second; 0 where nobody knows.
 * @param {number | null} ageMs Of the results.
 */
export function networkWords(trouble, framerate, ageMs) {
  const { late, slow, age, narrow } = WORDS.network;
  if (trouble === NetworkTrouble.NARROW) return narrow(framerate > 0 ? Math.max(1, Math.round(framerate)) : null);
  if (trouble !== NetworkTrouble.SLOW && trouble !== NetworkTrouble.LATE) return ""; // the others have words elsewhere
  const why = trouble === NetworkTrouble.SLOW ? slow : late;
  return ageMs === null ? why : `${why} ${age(ageMs / 1000)}`;
}

/**
 * @param {string} code
 * @returns {import("./words/en.js").FailureWords}
 */
export function failureWords(code) {
  const known = /** @type {Record<string, import("./words/en.js").FailureWords>} */ (WORDS.failures);
  return known[code] ?? { ...WORDS.unknown, advice: code };
}

/**
 * @param {import("../shared/wire.js").Model} model
 * @returns {string} Its name, how many kinds of things it knows, its licence, and whether it knows but drawings, as far as
 *   that is known.
 */
export function modelWords({ name, kinds, licence, synthetic }) {
  const known = [kinds ? WORDS.kinds(kinds) : "", licence, synthetic ? WORDS.drawn : ""];
  return [name, ...known.filter(Boolean)].join(" · ");
}

/** @param {number} ms @returns {string} Minutes and seconds, as 12:34; from an hour on 1:02:34. */
export function clockWords(ms) {
  const seconds = Math.max(0, Math.ceil(ms / 1000));
  const minutes = Math.floor(seconds / 60);
  const rest = String(seconds % 60).padStart(2, "0");
  return minutes < 60 ? `${minutes}:${rest}` : `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}:${rest}`;
}
