/**
 * The numbers people care about, each with a small live plot.
 *
 * @module
 */

import { Sparkline } from "./sparkline.js";

/** @typedef {import("../shared/bridge.js").Stats} Stats */

/**
 * @type {{name: string, unit: string, title: string, read: (stats: Stats) => number | null, digits: number}[]}
 */
const GAUGES = [
  { name: "Display", unit: "fps", title: "Pictures drawn a second", read: (s) => s.renderFps, digits: 0 },
  { name: "Inference", unit: "fps", title: "Results a second", read: (s) => s.inferenceFps, digits: 1 },
  { name: "Result age", unit: "ms", title: "From the camera to the result", read: (s) => s.resultAgeMs, digits: 0 },
  { name: "Skipped", unit: "/s", title: "Frames passed over for a newer one", read: (s) => s.drops, digits: 0 },
  { name: "Sending", unit: "kbit/s", title: "Sent to the server", read: (s) => s.bitrate / 1000, digits: 0 },
  { name: "Objects", unit: "", title: "Boxes and skeletons on show", read: (s) => s.objects, digits: 0 },
];

export class Gauges {
  #rows;

  /** @param {HTMLElement} list A `<dl>`. */
  constructor(list) {
    this.#rows = GAUGES.map((gauge) => {
      const row = document.createElement("div");
      row.className = "gauge";
      row.title = gauge.title;
      const name = Object.assign(document.createElement("dt"), { textContent: gauge.name });
      const reading = document.createElement("dd");
      const value = document.createElement("output");
      const unit = Object.assign(document.createElement("span"), { className: "unit", textContent: gauge.unit });
      const canvas = Object.assign(document.createElement("canvas"), { className: "sparkline" });
      canvas.setAttribute("aria-hidden", "true");
      value.setAttribute("aria-live", "off"); // twice a second is no news to read out
      reading.append(value, unit);
      row.append(name, reading, canvas);
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
