/**
 * What OCR has read: newest first, the same lines in a row once.
 *
 * @module
 */

const MAX_ENTRIES = 50;

export class TextLog {
  #list;
  #newest = "";

  /** @param {HTMLOListElement} list */
  constructor(list) {
    this.#list = list;
  }

  /** @param {import("../shared/bridge.js").Texts} message */
  add({ texts, time }) {
    const words = texts.map(({ text }) => text).join("\n");
    if (words === "" || words === this.#newest) return;
    this.#newest = words;
    const entry = document.createElement("li");
    const date = new Date(time);
    const stamp = Object.assign(document.createElement("time"), {
      dateTime: date.toISOString(),
      textContent: date.toLocaleTimeString(),
    });
    const read = Object.assign(document.createElement("p"), { textContent: words });
    entry.append(stamp, read);
    this.#list.prepend(entry);
    while (this.#list.children.length > MAX_ENTRIES) this.#list.lastElementChild?.remove();
  }

  clear() {
    this.#newest = "";
    this.#list.replaceChildren();
  }
}
