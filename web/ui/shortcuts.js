/**
 * Keys of a single letter. They can be switched off, as whoever speaks to the computer types letters unawares (WCAG 2.2, 2.1.4).
 *
 * @module
 */

import { element } from "./element.js";

/** Letters mean something else there. */
const TYPING = "input:not([type=checkbox]), select, dialog";

/** @param {Record<string, () => void>} actions By letter. */
export function listenToKeys(actions) {
  const on = element("shortcuts", HTMLInputElement);
  document.addEventListener("keydown", (event) => {
    const typing = event.target instanceof Element && event.target.closest(TYPING);
    if (!on.checked || typing || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    actions[event.key.toLowerCase()]?.();
  });
}
