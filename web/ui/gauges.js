/**
 * The numbers people care about, each with a small live plot.
 *
 * @module
 */

import { Sparkline } from "./sparkline.js";
import { WORDS } from "./words.js";

/** @typedef {import("../shared/bridge.js").Stats} Stats */

/** @type {{words: string, unit: string, read: (stats: Stats) => number | null, digits: number}[]} */
const GAUGES = [
  { words: "display", unit: "fps", read: (s) => s.renderFps, digits: 0 },
  { words: "inference", unit: "fps", read: (s) => s.inferenceFps, digits: 1 },
  { words: "age", unit: "ms", read: (s) => s.resultAgeMs, digits: 0 },
  { words: "skipped", unit: "/s", read: (s) => s.drops, digits: 0 },
  { words: "sending", unit: "kbit/s", read: (s) => s.bitrate / 1000, digits: 0 },
  { words: "objects", unit: "", read: (s) => s.objects, digits: 0 },
];

export class Gauges {
  #rows;

  /** @param {HTMLElement} list A `<dl>`. */
  constructor(list) {
    this.#rows = GAUGES.map((gauge) => {
      const row = document.createElement("div");
      row.className = "gauge";
      const words = WORDS.gauges[gauge.words];
      row.title = words.title;
      const name = Object.assign(document.createElement("dt"), { textContent: words.name });
      const reading = document.createElement("dd");
      const value = document.createElement("output");
      const unit = Object.assign(document.createElement("span"), { className: "unit", textContent: gauge.unit });
      const canvas = Object.assign(document.createElement("canvas"), { className: "sparkline" });
      canvas.setAttribute("aria-hidden", "true");
      value.setAttribute("aria-live", "off"); // twice a second is no news to read out
      reading.append(value, unit, canvas);
      row.append(name, reading);
      list.append(row);
      return { gauge, value, plot: new Sparkline(canvas) };
    });
    this.clear();
  }

  /** @param {Stats} stats */
  show(stats) {
    for (const { gauge, value, plot } of this.#rows) {
      const reading = gauge.read(stats);
      value.textContent = reading === null ? "–" : reading.toFixed(gauge.digits);
      plot.push(reading ?? 0);
    }
  }

  clear() {
    for (const { value, plot } of this.#rows) {
      value.textContent = "–";
      plot.clear();
    }
  }
}
