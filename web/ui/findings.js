/**
 * What is in the picture now, and was in the last minutes: a button a kind, which hides it and shows it again.
 *
 * @module
 */

import { colourOfKind } from "../shared/colours.js";
import { element } from "./element.js";
import { LastingKinds } from "./lasting_kinds.js";
import { Sparkline } from "./sparkline.js";
import { WORDS } from "./words.js";

/** Counts come twice a second; the plot has their mean of two. */
const EACH = 4;
/** So long after it was last seen, in counts, a kind is forgotten: the width of its plot. */
const FORGOTTEN = 320;

/** @typedef {{entry: HTMLElement, button: HTMLButtonElement, words: HTMLElement, plot: Sparkline, recent: number[], unseen: number}} Kind */

/** Dispatches `change` where another kind is to be hidden or shown. */
export class Findings extends EventTarget {
  #list = element("findings", HTMLElement);
  #nothing = element("nothing-found", HTMLElement);
  /** @type {Map<string, Kind>} In the order in which they were first seen, so that none jumps. */
  #kinds = new Map();
  #lasting = new LastingKinds();

  /** @returns {string[]} Labels of those that are hidden. */
  get hidden() {
    return [...this.#kinds].filter(([, { button }]) => isHidden(button)).map(([label]) => label);
  }

  /** @param {Record<string, number>} counts By label. */
  show(counts) {
    const seen = Object.keys(counts);
    for (const label of this.#lasting.among(seen)) if (!this.#kinds.has(label)) this.#add(label);
    for (const [label, kind] of this.#kinds) {
      const count = counts[label] ?? 0;
      const words = WORDS.found(count, label);
      if (kind.words.textContent !== words) kind.words.textContent = words;
      kind.entry.toggleAttribute("data-gone", count === 0);
      kind.unseen = count === 0 ? kind.unseen + 1 : 0;
      kind.recent.push(count);
      if (kind.recent.length === EACH) {
        kind.plot.push(kind.recent.reduce((sum, each) => sum + each, 0) / EACH);
        kind.recent = [];
      }
      if (kind.unseen > FORGOTTEN && !isHidden(kind.button)) this.#forget(label, kind);
    }
    this.#nothing.hidden = this.#kinds.size > 0 || seen.length > 0;
  }

  clear() {
    for (const [label, kind] of this.#kinds) this.#forget(label, kind);
    this.#lasting = new LastingKinds();
    this.#nothing.hidden = true;
  }

  /** @param {string} label */
  #add(label) {
    const entry = document.createElement("li");
    const button = Object.assign(document.createElement("button"), { type: "button", className: "finding" });
    button.style.setProperty("--kind", colourOfKind(label));
    const words = document.createElement("span");
    const canvas = Object.assign(document.createElement("canvas"), { className: "sparkline" });
    canvas.setAttribute("aria-hidden", "true");
    button.setAttribute("aria-pressed", "true");
    button.title = WORDS.page.hideKind;
    button.addEventListener("click", () => {
      button.setAttribute("aria-pressed", String(isHidden(button)));
      this.dispatchEvent(new Event("change"));
    });
    button.append(words, canvas);
    entry.append(button);
    this.#list.append(entry);
    this.#kinds.set(label, { entry, button, words, plot: new Sparkline(canvas), recent: [], unseen: 0 });
  }

  /** @param {string} label @param {Kind} kind */
  #forget(label, kind) {
    kind.entry.remove();
    this.#kinds.delete(label);
  }
}

/** @param {HTMLButtonElement} button */
function isHidden(button) {
  return button.getAttribute("aria-pressed") === "false";
}
