/**
 * Pauses and seeks a clip.
 *
 * @module
 */

import { element } from "./element.js";
import { WORDS, clockWords } from "./words.js";

/** @typedef {NonNullable<import("../shared/bridge.js").Stats["film"]>} Film */

export class FilmBar {
  #bar = element("film", HTMLElement);
  #button = element("film-play", HTMLButtonElement);
  #time = element("film-time", HTMLInputElement);
  #clock = element("film-clock", HTMLElement);
  #paused = false;
  /** It is moved by the user now, and not by the clip. */
  #moved = false;

  /** @param {(message: import("../shared/bridge.js").PageMessage) => void} send */
  constructor(send) {
    this.#button.addEventListener("click", () => {
      this.#showPaused(!this.#paused);
      send({ type: "film", paused: this.#paused });
    });
    this.#time.addEventListener("input", () => {
      this.#moved = true;
      send({ type: "seek", time: Number(this.#time.value) });
    });
    this.#time.addEventListener("change", () => (this.#moved = false));
    this.#showPaused(false);
  }

  /** @param {Film | null} film null where what is shown is no clip. */
  show(film) {
    this.#bar.hidden = film === null;
    if (film === null || this.#moved) return;
    if (film.paused !== this.#paused) this.#showPaused(film.paused);
    this.#time.max = String(film.duration);
    this.#time.value = String(film.time);
    const words = `${clockWords(1000 * film.time)} / ${clockWords(1000 * film.duration)}`;
    this.#clock.textContent = words;
    this.#time.setAttribute("aria-valuetext", words);
  }

  /** @param {boolean} paused */
  #showPaused(paused) {
    this.#paused = paused;
    this.#button.textContent = paused ? WORDS.play : WORDS.pause;
  }
}
