/**
 * What the page says of a GPU machine that runs: when it stops by itself, what it has cost, and how to change that.
 *
 * @module
 */

import { element } from "./element.js";
import { WORDS, clockWords } from "./words.js";

const DAY_MINUTES = 24 * 60;

export class LeaseBar {
  #control;
  #until = element("keep-until", HTMLInputElement);

  /**
   * @param {import("./session_control.js").SessionControl} control
   * @param {() => void} askWhatToStop
   */
  constructor(control, askWhatToStop) {
    this.#control = control;
    control.addEventListener("lease", () => this.#show());
    element("keep-alive", HTMLElement).addEventListener("click", () => control.keepAlive());
    element("turn-off", HTMLElement).addEventListener("click", askWhatToStop);
    this.#until.addEventListener("change", () => {
      if (this.#until.value !== "") control.keepAlive(minutesUntil(this.#until.value, new Date()));
      this.#until.value = "";
    });
    setInterval(() => this.#show(), 1000);
  }

  #show() {
    const { stopsAt, cost } = this.#control;
    element("lease", HTMLElement).hidden = stopsAt === null;
    if (stopsAt !== null) {
      element("countdown", HTMLElement).textContent = WORDS.machine.stopsIn(clockWords(stopsAt - Date.now()));
    }
    const costs = element("cost", HTMLElement);
    costs.hidden = cost === null;
    costs.textContent = cost === null ? "" : WORDS.machine.cost(cost.run_usd, cost.month_usd);
  }
}

/**
 * @param {string} time HH:MM of this machine, the next that comes.
 * @param {Date} now
 * @returns {number} At least one.
 */
export function minutesUntil(time, now) {
  const [hours, minutes] = time.split(":").map(Number);
  const left = hours * 60 + minutes - (now.getHours() * 60 + now.getMinutes());
  return left > 0 ? left : left + DAY_MINUTES;
}
