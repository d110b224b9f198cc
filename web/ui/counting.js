/**
 * A line or a zone on the picture, and how many go in and out: its buttons, its numbers, and its place in the address.
 *
 * @module
 */

import { element } from "./element.js";
import { WORDS } from "./words.js";

/** Where one stands until it is drawn elsewhere: who uses no pointer has it, too. */
const USUAL = { line: [0.5, 0.1, 0.5, 0.9], zone: [0.25, 0.25, 0.75, 0.95] };

/** @typedef {import("../shared/bridge.js").Region} Region */

/**
 * @param {string} search Of the page's address: `?line=0.5,0.1,0.5,0.9`, or `zone` with two corners.
 * @returns {Region | null}
 */
export function readRegion(search) {
  const asked = new URLSearchParams(search);
  for (const shape of /** @type {const} */ (["line", "zone"])) {
    const points = (asked.get(shape) ?? "").split(",").map(Number);
    if (points.length === 4 && points.every((value) => value >= 0 && value <= 1)) return { shape, points };
  }
  return null;
}

/** @param {string} search @param {Region | null} region @returns {string} The address with it. */
export function addressWith(search, region) {
  const address = new URLSearchParams(search);
  for (const shape of ["line", "zone"]) address.delete(shape);
  if (region !== null) address.set(region.shape, region.points.map((value) => Number(value.toFixed(3))).join(","));
  const words = address.toString().replaceAll("%2C", ",");
  return words === "" ? "" : `?${words}`;
}

/** Dispatches `change` where the engine is to be told. */
export class CountingBar extends EventTarget {
  #words = element("crossings", HTMLElement);
  #remove = element("count-remove", HTMLElement);
  #hint = element("count-hint", HTMLElement);

  region = readRegion(location.search);
  /** The next drag over the picture draws it. */
  drawing = false;

  constructor() {
    super();
    for (const shape of /** @type {const} */ (["line", "zone"])) {
      element(`count-${shape}`, HTMLElement).addEventListener("click", () => this.#choose(shape));
    }
    this.#remove.addEventListener("click", () => this.#become(null, false));
    this.#show();
  }

  /** @param {number[]} points As they were drawn. */
  drawn(points) {
    if (this.region !== null) this.#become({ ...this.region, points }, false);
  }

  /** @param {import("../shared/bridge.js").Crossings | null} crossings */
  show(crossings) {
    const words = crossings === null ? "" : WORDS.crossings(crossings.in, crossings.out, crossings.inside);
    if (this.#words.textContent !== words) this.#words.textContent = words;
  }

  /** @param {"line" | "zone"} shape The same again is kept, and drawn anew. */
  #choose(shape) {
    const region = this.region?.shape === shape ? this.region : { shape, points: USUAL[shape] };
    this.#become(region, true);
  }

  /** @param {Region | null} region @param {boolean} drawing */
  #become(region, drawing) {
    this.region = region;
    this.drawing = drawing;
    history.replaceState(history.state, "", location.pathname + addressWith(location.search, region) + location.hash);
    this.#show();
    this.dispatchEvent(new Event("change"));
  }

  #show() {
    this.#remove.hidden = this.region === null;
    this.#hint.hidden = !this.drawing;
    for (const shape of ["line", "zone"]) {
      element(`count-${shape}`, HTMLElement).setAttribute("aria-pressed", String(this.region?.shape === shape));
    }
    if (this.region === null) this.show(null);
  }
}
