/**
 * "Read now": from the click until what was read is there, or that there is nothing.
 *
 * @module
 */

import { element } from "./element.js";
import { WORDS } from "./words.js";

/** Reading a full page takes a slow machine so long; what comes later is shown, too. */
const PATIENCE_MS = 15_000;
const TOLD_MS = 5000;

export class ReadNow {
  #button = element("read-now", HTMLButtonElement);
  #words = element("reading", HTMLElement);
  #waiting = false;
  #timer = 0;

  /** @param {() => void} trigger */
  constructor(trigger) {
    this.#button.addEventListener("click", () => {
      if (this.#waiting) return;
      trigger();
      this.#waiting = true;
      this.#say(WORDS.reading, PATIENCE_MS);
    });
  }

  /** @param {boolean} possible */
  set possible(possible) {
    this.#button.disabled = !possible;
    if (!possible) this.#say("", 0);
  }

  /** @param {boolean} something Whether what came of it has any text. */
  read(something) {
    if (something) this.#say("", 0);
    else if (this.#waiting) this.#say(WORDS.nothingRead, TOLD_MS);
  }

  click() {
    this.#button.click();
  }

  /** @param {string} words @param {number} ms For so long. */
  #say(words, ms) {
    if (words !== WORDS.reading) this.#waiting = false;
    clearTimeout(this.#timer);
    this.#words.textContent = words;
    this.#words.hidden = words === "";
    if (words !== "") this.#timer = setTimeout(() => this.#say("", 0), ms);
  }
}
