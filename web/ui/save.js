/**
 * Takes results and pictures away as files, which are made in the browser.
 *
 * @module
 */

import { element } from "./element.js";
import { Recording } from "./recording.js";
import { WORDS } from "./words.js";

export class Save {
  #recording = new Recording();
  #size = element("save-size", HTMLElement);
  #picture = element("save-picture", HTMLButtonElement);
  #buttons = [element("save-lines", HTMLButtonElement), element("save-table", HTMLButtonElement)];

  /** @param {() => void} onPicture The picture is wanted; it goes to `picture`. */
  constructor(onPicture) {
    const [lines, table] = this.#buttons;
    this.#picture.addEventListener("click", onPicture);
    lines.addEventListener("click", () => {
      download(new Blob([this.#recording.jsonLines()], { type: "application/jsonl" }), "jsonl");
    });
    table.addEventListener("click", () => {
      download(new Blob([this.#recording.table()], { type: "text/csv" }), "csv");
    });
    this.#show();
  }

  /** @param {boolean} possible There is a picture. */
  set possible(possible) {
    this.#picture.disabled = !possible;
  }

  /** @param {Blob} blob */
  picture(blob) {
    download(blob, "png");
  }

  /** @param {readonly string[]} lines */
  add(lines) {
    this.#recording.add(lines);
    this.#show();
  }

  /** Another session begins. */
  clear() {
    this.#recording.clear();
    this.#show();
  }

  #show() {
    this.#size.textContent = WORDS.kept(this.#recording.size);
    for (const button of this.#buttons) button.disabled = this.#recording.size === 0;
  }
}

/** @param {Blob} blob @param {string} ending */
function download(blob, ending) {
  const url = URL.createObjectURL(blob);
  const stamp = new Date().toISOString().slice(0, 19).replaceAll(":", "-");
  Object.assign(document.createElement("a"), { href: url, download: `mediaserver-${stamp}.${ending}` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000); // the browser may ask the user first where to put it
}
