/**
 * What OCR has read: newest first, each text once while it is there.
 *
 * @module
 */

const MAX_ENTRIES = 50;

/** @typedef {import("../shared/bridge.js").Texts["texts"]} Texts */

/**
 * @param {Texts} texts
 * @param {Set<number>} there Ids of those that were there before.
 * @returns {Texts} The others; all that have no id, as an older server gives none.
 */
export function fresh(texts, there) {
  return texts.filter(({ id }) => id === undefined || !there.has(id));
}

export class TextLog {
  #list;
  /** @type {Set<number>} */
  #there = new Set();
  #newest = "";

  #headline;

  /**
   * @param {HTMLOListElement} list
   * @param {HTMLElement} headline Beside the picture: what was read last.
   */
  constructor(list, headline) {
    this.#list = list;
    this.#headline = headline;
  }

  /** @param {import("../shared/bridge.js").Texts} message */
  add({ texts, time }) {
    const words = fresh(texts, this.#there).map(({ text }) => text).join("\n");
    this.#there = new Set(texts.flatMap(({ id }) => id ?? []));
    if (words === "" || words === this.#newest) return;
    this.#newest = words;
    this.#headline.textContent = words.replaceAll("\n", " · ");
    const entry = document.createElement("li");
    const date = new Date(time);
    const stamp = Object.assign(document.createElement("time"), {
      dateTime: date.toISOString(),
      textContent: date.toLocaleTimeString(),
    });
    const read = Object.assign(document.createElement("p"), { textContent: words });
    entry.append(stamp, read);
    this.#list.prepend(entry);
    this.#list.parentElement?.toggleAttribute("data-filled", true);
    while (this.#list.children.length > MAX_ENTRIES) this.#list.lastElementChild?.remove();
  }

  clear() {
    this.#newest = "";
    this.#headline.textContent = "";
    this.#there.clear();
    this.#list.replaceChildren();
    this.#list.parentElement?.toggleAttribute("data-filled", false);
  }
}
